"""Numbers in what a script prints: fields of JSON lines, and `name=value` or `name: value` in other lines."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

STEPS = ("global_step", "step", "iteration", "epoch")
"""Names of numbers that number a line, the finest first; as for the metrics of a run."""

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|NaN|inf|Infinity)"
_PAIR = re.compile(r"""(?<![\w./-])["']?([A-Za-z_][\w./-]*)["']?\s*[=:]\s*(%s)(?!\w|[.:]\d)""" % _NUMBER)


def line_numbers(message: str) -> Dict[str, float]:
    """The numbers in a line, by their names."""
    return document_numbers(message) or {name: float(value) for name, value in _PAIR.findall(message)}


def document_numbers(text: str) -> Dict[str, float]:
    """The numbers in a JSON object, as `field_numbers`; none in any other text."""
    return dict(field_numbers(json_object(text)))


def field_numbers(fields: Mapping[str, Any], prefix: str = "") -> Iterator[Tuple[str, float]]:
    """The numbers of an object and of objects in it, by `outer.inner` and by `inner`; of a list the last one."""
    for name, value in fields.items():
        number = value[-1] if isinstance(value, list) and value else value
        if isinstance(value, Mapping) and not prefix:
            inner = list(field_numbers(value, "%s." % name))
            for found, number_there in inner:
                yield found.partition(".")[2], number_there
            for each in inner:
                yield each
        else:
            known = None if isinstance(number, str) else as_number(number)
            if known is not None:
                yield "%s%s" % (prefix, name), known


def json_object(text: str) -> Mapping[str, Any]:
    """The JSON object that a text is; empty for any other text."""
    text = text.strip()
    if not text.startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def as_number(value: object) -> Optional[float]:
    """A number, or a text that is one; None for anything else, as true and false."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
