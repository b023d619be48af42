"""The values that a script trains with where a trial changes nothing: from its arguments, else from its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ...project.local_run.script_options import declared_values
from ...project.settings.search_space import Parameter, Value
from ...project.snapshot import Project


def script_values(project: Project, arguments: Sequence[str]) -> dict[str, Value]:
    """The project's own value of each parameter of its space, where it is known.

    Args:
        project: The project.
        arguments: Arguments of the project and the run.
    """
    script = project.root / project.settings.script
    declared = declared_values([script]) if script.suffix == ".py" else {}
    given = dict(_given(arguments))
    found: dict[str, Value] = {}
    for each in project.settings.sweep.space:
        text = next((given[name] for name in (each.name, each.name.replace("_", "-")) if name in given), None)
        value = _of_kind(each, text) if text is not None else each.default
        if value is None:
            value = declared.get(each.name, declared.get(each.name.replace("_", "-")))
        if value is not None:
            found[each.name] = value
    return found


def _given(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`--name=value`, `--name value` and `name=value`."""
    for word, following in pairwise([*arguments, ""]):
        name, equals, value = word.lstrip("-+").partition("=")
        if equals:
            yield name, value
        elif word.startswith("-"):
            yield name, following


def _of_kind(each: Parameter, text: str) -> Value | None:
    """The text as one of the parameter's values; None if it is none."""
    if each.kind == "choice":
        return next((value for value in each.choices if str(value).lower() == text.lower()), None)
    try:
        return int(text) if each.kind == "int" else float(text)
    except ValueError:
        return None
