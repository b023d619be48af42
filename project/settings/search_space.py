"""The space of a sweep: which parameters of the script are searched, and between which values."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

Value = float | int | str | bool
"""A parameter's value, as it stands in TOML and in JSON."""

Kind = Literal["float", "log", "int", "choice"]

GRID_POINTS = 5
"""How many values a grid has of a range without `step`."""

_RANGES = ("float", "log", "int")
_OPTIONS = ("step", "log", "when", "default", "argument", "points")
_NAME = re.compile(r"[A-Za-z_][\w.@/-]{0,60}")


class SpaceError(ValueError):
    """A parameter that can't be searched so.

    Args:
        name: The parameter.
        what: What is wrong, as a sentence that goes on after the name.
        next_step: What to do.
    """

    def __init__(self, name: str, what: str, next_step: str) -> None:
        self.name, self.what, self.next_step = name, what, next_step
        super().__init__(f"{name} {what}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    Attributes:
        name: As the script knows it, without dashes.
        kind: `float` and `int` are ranges, `log` is a range of floats by their order of magnitude, `choice` is a list.
        low: The smallest value of a range.
        high: The largest value of a range.
        log: Whether an `int` range is searched by order of magnitude.
        step: Distance of a range's values; 0 for none.
        points: Values of a range in a grid; 0 for `GRID_POINTS`.
        choices: The values of a list.
        when: The parameter is used only where each of these others has one of these values.
        default: The script's own value, if it is known.
        argument: A template of its arguments, in place of the sweep's.
    """

    name: str
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float = 0.0
    points: int = 0
    choices: tuple[Value, ...] = ()
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    default: Value | None = None
    argument: str = ""

    def is_used(self, chosen: Mapping[str, Value]) -> bool:
        """Whether the parameter is used beside these values of others."""
        return all(name in chosen and chosen[name] in values for name, values in self.when.items())

    def holds(self, value: Value) -> bool:
        """Whether the value lies in the space."""
        if self.kind == "choice":
            return any(type(each) is type(value) and each == value for each in self.choices)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and self.low <= float(value) <= self.high and (self.kind != "int" or float(value).is_integer())

    def rounded(self, value: Value) -> Value:
        """The value with six significant digits, which read better in arguments; never out of the range."""
        if not isinstance(value, float):
            return value
        short = float(f"{value:.6g}")
        return short if self.low <= short <= self.high else value

    def grid(self) -> tuple[Value, ...]:
        """The values of a grid."""
        if self.kind == "choice":
            return self.choices
        if self.step:
            count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            found = [self.low + index * self.step for index in range(count)]
        else:
            found = list(self._spread(self.points or GRID_POINTS))
        if self.kind == "int":
            return tuple(dict.fromkeys(round(value) for value in found))
        return tuple(dict.fromkeys(self.rounded(value) for value in found))

    def _spread(self, count: int) -> Iterator[float]:
        logarithmic = self.kind == "log" or self.log
        low, high = (math.log(self.low), math.log(self.high)) if logarithmic else (self.low, self.high)
        for index in range(count):
            at = low + (high - low) * index / (count - 1) if count > 1 else (low + high) / 2
            yield min(max(math.exp(at), self.low), self.high) if logarithmic else at

    def middle(self) -> Value:
        """A value from the middle of the space, for a first try of the script."""
        if self.kind == "choice":
            return self.choices[0]
        logarithmic = self.kind == "log" or self.log
        value = math.sqrt(self.low * self.high) if logarithmic else (self.low + self.high) / 2
        if self.step:
            value = self.low + round((value - self.low) / self.step) * self.step
        return round(value) if self.kind == "int" else self.rounded(value)


def read_space(value: object, others: Iterable[Parameter] = ()) -> tuple[Parameter, ...]:
    """Reads the table of parameters; those that others depend on come first.

    Args:
        value: The table.
        others: Parameters that are searched, too, unless the table has one of the same name.

    Raises:
        SpaceError: A parameter can't be searched so.
        TypeError: It is no table, or an empty one.
    """
    if not isinstance(value, dict) or not value:
        raise TypeError
    given = {name: _parameter(name, item) for name, item in value.items()}
    found = {**{each.name: each for each in others}, **given}
    for each in found.values():
        _check_conditions(each, found)
    return tuple(_in_order(found))


def combinations(space: Sequence[Parameter], chosen: Mapping[str, Value] | None = None) -> Iterator[dict[str, Value]]:
    """Every combination of the grid, in the order of the space; unused parameters are left out."""
    chosen = dict(chosen or {})
    if not space:
        yield chosen
        return
    first, rest = space[0], space[1:]
    if not first.is_used(chosen):
        yield from combinations(rest, chosen)
        return
    for value in first.grid():
        yield from combinations(rest, {**chosen, first.name: value})


def middle_of(space: Iterable[Parameter]) -> dict[str, Value]:
    """A point from the middle of the space."""
    chosen: dict[str, Value] = {}
    for each in space:
        if each.is_used(chosen):
            chosen[each.name] = each.middle()
    return chosen


def _parameter(name: str, item: object) -> Parameter:
    if not _NAME.fullmatch(name):
        raise SpaceError(name, "is no name of a parameter", "Write it as the script has it, without dashes before it")
    if isinstance(item, list):
        return Parameter(name, "choice", choices=_choices(name, item))
    if not isinstance(item, dict):
        raise SpaceError(
            name,
            f"is {item!r}, and must be a list of values or a range",
            f"Write {name} = [{item!r}], or {name} = {{ log = [1e-5, 1e-1] }}",
        )
    kinds = [key for key in item if key in {"choice", *_RANGES} and isinstance(item[key], list)]
    if unknown := [key for key in item if key not in {"choice", *_RANGES, *_OPTIONS}]:
        raise SpaceError(name, f"has the unknown key {unknown[0]}", _instead(name, item, unknown[0]))
    if len(kinds) != 1:
        raise SpaceError(
            name, "needs exactly one of float, log, int and choice", f"Write {name} = {{ float = [0.0, 0.5] }}"
        )
    options = _options(name, item, kinds[0])
    if kinds[0] == "choice":
        return _with_default(Parameter(name, "choice", choices=_choices(name, item["choice"]), **options))
    return _with_default(_range(name, kinds[0], item[kinds[0]], options))


def _instead(name: str, item: Mapping[str, Any], unknown: str) -> str:
    """What to write in place of an unknown key."""
    near = get_close_matches(unknown, ["choice", *_RANGES, *_OPTIONS], n=1)
    if near:
        return f"Did you mean {near[0]}?"
    if len(item) == 1 and isinstance(item[unknown], (list, dict)):  # as TOML reads optimizer.lr = [1, 2]
        return f'A name with dots needs quotes: "{name}.{unknown}" = ...'
    return "Use float, log, int or choice, with step, when or default"


def _options(name: str, item: Mapping[str, Any], kind: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "when" in item:
        options["when"] = _conditions(name, item["when"])
    if "default" in item:
        options["default"] = item["default"]
    if "argument" in item:
        options["argument"] = str(item["argument"])
    if isinstance(item.get("log"), bool) and kind == "int":
        options["log"] = item["log"]
    for key in ("step", "points"):
        if key in item:
            value = item[key]
            if kind == "choice" or isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise SpaceError(name, f"has {key} = {value!r}", f"Give a {key} above 0, and only to a range")
            options[key] = value
    return options


def _choices(name: str, values: list[Any]) -> tuple[Value, ...]:
    if not values:
        raise SpaceError(name, "is an empty list", "Give at least one value, or remove it")
    if not all(isinstance(value, (int, float, str, bool)) for value in values):
        raise SpaceError(name, "lists something else than numbers, texts and booleans", "Write it as [16, 32]")
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        raise SpaceError(name, "lists a number that is not finite", "Remove it")
    if len({(type(value), value) for value in values}) < len(values):
        raise SpaceError(name, "lists a value twice", "List each value once")
    return tuple(values)


def _range(name: str, kind: str, bounds: list[Any], options: dict[str, Any]) -> Parameter:
    numbers = [each for each in bounds if isinstance(each, (int, float)) and not isinstance(each, bool)]
    if len(bounds) != 2 or len(numbers) != 2 or not all(map(math.isfinite, numbers)):
        raise SpaceError(
            name, f"has {kind} = {bounds!r}, and a range has two numbers", f"Write {name} = {{ {kind} = [LOW, HIGH] }}"
        )
    low, high = numbers
    if low >= high:
        raise SpaceError(
            name, f"has a range from {low!r} to {high!r}", "Put the smaller number first, and another one second"
        )
    if kind == "int" and not all(isinstance(each, int) for each in numbers):
        raise SpaceError(name, f"has int = {bounds!r}", "Use whole numbers, or float")
    if (kind == "log" or options.get("log")) and low <= 0:
        raise SpaceError(
            name,
            f"is searched by its logarithm from {low!r}, which has none",
            f"Begin above 0, as {name} = {{ log = [1e-6, {high!r}] }}",
        )
    if kind == "int" and not float(options.get("step", 1)).is_integer():
        raise SpaceError(name, f"has step = {options['step']!r}", "Use a whole number")
    if options.get("step", 0) > high - low:
        raise SpaceError(name, f"has step = {options['step']!r}, more than its range", "Use a smaller step, or a list")
    if options.get("step") and (kind == "log" or options.get("log")):
        raise SpaceError(name, "has both log and step", "Remove one of them, or list the values")
    return Parameter(name, kind, low=float(low), high=float(high), **options)  # pyright: ignore[reportArgumentType]


def _with_default(found: Parameter) -> Parameter:
    if found.default is not None and not isinstance(found.default, (int, float, str, bool)):
        raise SpaceError(found.name, f"has default = {found.default!r}", "Give one value")
    return found


def _conditions(name: str, value: object) -> dict[str, tuple[Value, ...]]:
    if not isinstance(value, dict) or not value:
        raise SpaceError(
            name, f"has when = {value!r}", 'Write when = { optimizer = "sgd" }, or a list of values in place of one'
        )
    return {other: tuple(item) if isinstance(item, list) else (item,) for other, item in value.items()}


def _check_conditions(each: Parameter, found: Mapping[str, Parameter]) -> None:
    for other, values in each.when.items():
        if other not in found:
            near = get_close_matches(other, list(found), n=1)
            step = f"Did you mean {near[0]}?" if near else f"The parameters are {', '.join(found)}"
            raise SpaceError(each.name, f"depends on {other}, which is no parameter of the space", step)
        for value in values or ("",):
            if not found[other].holds(value):
                raise SpaceError(
                    each.name,
                    f"is used when {other} = {value!r}, which {other} never is",
                    f"Use a value of {other} in its when",
                )


def _in_order(found: Mapping[str, Parameter]) -> Iterator[Parameter]:
    """The parameters, each after those that it depends on."""
    left, done = dict(found), set[str]()
    while left:
        ready = [each for each in left.values() if each.when.keys() <= done]
        if not ready:
            name = next(iter(left))
            raise SpaceError(name, f"and {', '.join(left[name].when)} depend on each other", "Remove one of the when")
        for each in ready:
            yield each
            done.add(each.name)
            del left[each.name]
