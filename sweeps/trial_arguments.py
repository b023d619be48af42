"""A trial's parameters as arguments of the script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter

from ..project.settings.search_space import Parameter, Value
from ..project.settings.sweep_settings import SweepSettings


def trial_arguments(settings: SweepSettings, values: Mapping[str, Value]) -> list[str]:
    """The arguments of a trial, after those of the project and of the run.

    Args:
        settings: The sweep's settings, whose templates say what arguments look like.
        values: The trial's parameters; those that it doesn't use are missing, and so are their arguments.
    """
    if settings.template and values:
        return list(_from_template(settings, values))
    words: list[str] = []
    for each in settings.space:
        if each.name in values:
            words += _of_parameter(each, settings.argument, values[each.name])
    return words


def as_text(value: Value) -> str:
    """A value as the script gets it: true and false as in JSON and YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_parameter(parameter: Parameter, template: str, value: Value) -> Iterator[str]:
    # Split first: a value with blanks stays one argument.
    for word in (parameter.argument or template).split():
        yield word.format(name=parameter.name, value=as_text(value))


def _from_template(settings: SweepSettings, values: Mapping[str, Value]) -> Iterator[str]:
    texts = {name: as_text(value) for name, value in values.items()}
    for word in settings.template:
        parts = list(Formatter().parse(word))
        if all(name is None or name in texts for _, name, _, _ in parts):
            yield "".join(literal + (texts[name] if name is not None else "") for literal, name, _, _ in parts)
