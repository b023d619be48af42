"""Reads the metric of a trial: from its log, from the file that hypertune writes, and from the model's metrics.json.

A script may report it in any of these ways, and often in several. What counts at the end is, in this order: the
hypertune file, metrics.json, the log. In the log a metric is a field of a JSON line, or stands as `name=value` or
`name: value` in any other.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

HYPERTUNE_VARIABLE = "CLOUD_ML_HP_METRIC_FILE"
"""The variable by which the package cloudml-hypertune, and Vertex AI's own tuning, find the file."""

TRIAL_VARIABLE = "CLOUD_ML_TRIAL_ID"

HYPERTUNE_FILE = "hypertune/output.metrics"
"""Where a trial's file lies in its output folder."""

METRICS_FILE = "metrics.json"
"""The file in the model's folder."""

STEPS = ("global_step", "step", "iteration", "epoch")
"""Fields that number a line, the finest first; as for the metrics of a run."""

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|NaN|inf|Infinity)"
_PAIR = re.compile(rf"""(?<![\w./-])["']?([A-Za-z_][\w./-]*)["']?\s*[=:]\s*({_NUMBER})(?!\w|[.:]\d)""")
_MOST_NAMES = 50


class Point(NamedTuple):
    """One value of the metric: its step, and the value, which may be nan."""

    step: float
    value: float


class MetricLog:
    """The values of one metric in a log, as far as it was read.

    Attributes:
        points: In the order of the log.
        names: Names of other numbers in it, for the message that this one is missing.

    Args:
        metric: The metric's name.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self.points: list[Point] = []
        self.names: dict[str, None] = {}

    def read(self, message: str, fields: Mapping[str, Any]) -> list[Point]:
        """Takes one line; returns its values of the metric."""
        numbers = dict(_numbers(fields)) if fields else {}
        if not numbers:
            numbers = dict(_numbers(_json_object(message))) or dict(_pairs(message))
        if self._metric not in numbers:
            for name in numbers:
                if len(self.names) < _MOST_NAMES and name not in STEPS:
                    self.names.setdefault(name)
            return []
        step = next((numbers[name] for name in STEPS if name in numbers), float(len(self.points) + 1))
        self.points.append(Point(step, numbers[self._metric]))
        return self.points[-1:]


def hypertune_points(text: str, metric: str) -> list[Point]:
    """The values of a metric in the file that hypertune writes; half a line, being written, is left out.

    Args:
        text: The file: a JSON object in each line, with the value as text.
        metric: The metric's name, which is the tag that the script reports.
    """
    found = []
    for line in text.splitlines():
        entry = _json_object(line)
        if metric in entry:
            value, step = _as_number(entry[metric]), _as_number(entry.get("global_step"))
            if value is not None:
                found.append(Point(step or 0.0, value))
    return found


def hypertune_names(text: str) -> list[str]:
    """The tags in such a file."""
    known = {"timestamp", "trial", "global_step", "checkpoint_path"}
    return list(dict.fromkeys(name for line in text.splitlines() for name in _json_object(line) if name not in known))


def document_value(text: str, metric: str) -> tuple[float | None, list[str]]:
    """The metric in a metrics.json, and the names of all numbers there; of a list of numbers the last one counts."""
    numbers = dict(_numbers(_json_object(text)))
    return numbers.get(metric), list(numbers)


def measured(points: Iterable[Point], *, best: bool, maximize: bool) -> float | None:
    """The value of a trial: of its last step, or the best of all; None without any.

    After a restart a job reports steps again, so the last line isn't always the last step.
    """
    found = list(points)
    if not found:
        return None
    if best and (finite := [point.value for point in found if math.isfinite(point.value)]):
        return max(finite) if maximize else min(finite)
    return max(enumerate(found), key=lambda each: (each[1].step, each[0]))[1].value


def thinned(points: Iterable[Point], most: int = 200) -> list[tuple[float, float]]:
    """At most so many points, evenly over all; a step that was reported again counts once."""
    latest = {point.step: point.value for point in points if math.isfinite(point.value)}
    steps = sorted(latest)
    every = -(-len(steps) // most) or 1
    kept = steps[::every]
    if steps and kept[-1] != steps[-1]:
        kept.append(steps[-1])
    return [(step, latest[step]) for step in kept]


def _numbers(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of an object, also of objects in it, by `outer.inner` and by `inner` alone."""
    for name, value in fields.items():
        number = value[-1] if isinstance(value, list) and value else value
        if isinstance(value, Mapping) and not prefix:
            inner = list(_numbers(value, f"{name}."))
            yield from ((found.partition(".")[2], number) for found, number in inner)
            yield from inner
        elif (found := _as_number(number, texts=False)) is not None:
            yield f"{prefix}{name}", found


def _pairs(message: str) -> Iterator[tuple[str, float]]:
    for name, value in _PAIR.findall(message):
        yield name, float(value)


def _json_object(text: str) -> Mapping[str, Any]:
    text = text.strip()
    if not text.startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _as_number(value: object, *, texts: bool = True) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, *((str,) if texts else ()))):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
