"""The table `[tool.vertex-training.sweep]`: what is searched, by which metric, and when it is enough."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter
from typing import Any, Literal, get_args

from ...core.errors import ProjectError
from ...core.security.parsed_text import parse_toml
from .readers import Keys, arguments, count, matching, one_of, read_table, text
from .search_space import Parameter, SpaceError, read_space
from .toml_lines import place_of

TABLE = "tool.vertex-training.sweep"

Goal = Literal["max", "min"]
Algorithm = Literal["tpe", "random", "grid"]
Prune = Literal["median", "hyperband", "off"]
SweepEngine = Literal["own", "vertex"]
Measurement = Literal["last", "best"]

ARGUMENT = "--{name}={value}"


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """How a project's parameters are searched; the key in TOML is the field's name with `-` for `_`.

    Attributes:
        metric: The name of the number to improve, as the script reports it; empty where it is not known yet.
        goal: Whether a larger or a smaller number is better; empty where it is not known yet.
        trials: How many trials there are, the one with the project's own values included.
        parallel: How many trials run at once.
        max_failures: The sweep ends when this many trials have failed.
        stop_after: The sweep ends after this many trials without a better one; 0 never.
        algorithm: `tpe` learns from the trials so far, `random` does not, `grid` tries every combination.
        prune: Which trials are cancelled early: those worse than the `median` of the others at the same step, or those
            that `hyperband` leaves out; `off` none.
        prune_after: Steps that a trial may make before it is judged.
        measurement: Which number of a trial counts: its `last`, or its `best`.
        engine: `own` searches here, with a job for each trial; `vertex` leaves it to Vertex AI's tuning service.
        seed: Seed of the search.
        argument: Template of the arguments for one parameter, with {name} and {value}; blanks part arguments.
        template: All arguments of a trial, with {NAME} for each parameter, in place of `argument`.
        space: The parameters.
    """

    metric: str = ""
    goal: Goal | Literal[""] = ""
    trials: int = 20
    parallel: int = 2
    max_failures: int = 5
    stop_after: int = 0
    algorithm: Algorithm = "tpe"
    prune: Prune = "median"
    prune_after: int = 3
    measurement: Measurement = "last"
    engine: SweepEngine = "own"
    seed: int = 0
    argument: str = ARGUMENT
    template: tuple[str, ...] = ()
    space: tuple[Parameter, ...] = field(default_factory=tuple)


def sweep_settings(table: object, file: Path) -> SweepSettings:
    """Reads the table.

    Raises:
        ProjectError: A key is unknown, a value is wrong, or the space can't be searched.
    """
    if not isinstance(table, dict):
        raise ProjectError(f"{TABLE} must be a table", where=file, next_step=f"Write it as [{TABLE}]")
    values = dict(table)
    space = values.pop("space", None)
    made = SweepSettings(**read_table(values, _KEYS, TABLE, file))
    if space is not None:
        made = replace(made, space=_space(space, lambda name: place_of(file, f"{TABLE}.space", name)))
    _check_template(made, place_of(file, TABLE, "template" if made.template else "argument"))
    return made


def chosen(own: SweepSettings, changes: Mapping[str, Any], lines: Sequence[str]) -> SweepSettings:
    """The settings with a run's own choices, checked.

    Args:
        own: The project's settings.
        changes: Values by field; None, 0 and empty ones leave the project's own. Fewer trials than the project has at
            once lower that, too.
        lines: Parameters of the run, each as a line of TOML; they replace the project's of the same name.

    Raises:
        ProjectError: A choice is wrong, or metric, goal or space are missing.
    """
    made = replace(own, **{name: value for name, value in changes.items() if value not in {None, "", 0}})
    if changes.get("trials") and not changes.get("parallel"):
        made = replace(made, parallel=min(made.parallel, made.trials))
    if lines:
        given = _space(_table_of(lines), lambda name: f"space: {name}" if name else "space", made.space)
        made = replace(made, space=given)
        _check_template(made, "space")
    _require_complete(made)
    return made


def _require_complete(made: SweepSettings) -> None:
    example = "lr = { log = [1e-5, 1e-1] }"
    missing = {
        "space": (not made.space, f"Give [{TABLE}.space], or --space '{example}'"),
        "metric": (not made.metric, f'Give metric = "accuracy" in [{TABLE}], or --metric accuracy'),
        "goal": (not made.goal, f'Give goal = "max" or "min" in [{TABLE}], or --goal max'),
    }
    for name, (is_missing, step) in missing.items():
        if is_missing:
            raise ProjectError(f"the sweep has no {name}", where=TABLE, next_step=step)
    if made.parallel > made.trials:
        raise ProjectError(
            f"parallel is {made.parallel}, more than the {made.trials} trials",
            where=TABLE,
            next_step="Lower parallel, or raise trials",
        )


def _table_of(lines: Sequence[str]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for line in lines:
        try:
            found = parse_toml(line)
        except tomllib.TOMLDecodeError as error:
            raise ProjectError(
                f"{line!r} is no parameter: {error}",
                where="space",
                next_step="Write it as in TOML: lr = { log = [1e-5, 1e-1] }, or batch = [16, 32]",
            ) from None
        for name, item in found.items():
            if name in table:
                raise ProjectError(f"{name} is given twice", where="space", next_step="Give it once")
            table[name] = item
    return table


def _space(table: object, place: Callable[[str], str], others: Sequence[Parameter] = ()) -> tuple[Parameter, ...]:
    try:
        return read_space(table, others)
    except SpaceError as error:
        raise ProjectError(str(error), where=place(error.name), next_step=error.next_step) from None
    except TypeError:
        raise ProjectError(
            "the space has no parameter",
            where=place(""),
            next_step="Write each as a line: lr = { log = [1e-5, 1e-1] }, or batch = [16, 32]",
        ) from None


def _check_template(made: SweepSettings, where: str) -> None:
    names = {each.name for each in made.space}
    templates = [(made.argument, {"name", "value"}), *((each.argument, {"name", "value"}) for each in made.space)]
    templates += [(word, names) for word in made.template]
    for word, known in templates:
        for used in _fields(word, where):
            if used not in known:
                raise ProjectError(
                    f"{{{used}}} in {word!r} is nothing that a trial has",
                    where=where,
                    next_step=f"Use {', '.join(f'{{{name}}}' for name in sorted(known)) or 'a parameter of the space'}",
                )
    used = {name for word in made.template for name in _fields(word, where)}
    if made.template and (forgotten := sorted(names - used)):
        raise ProjectError(
            f"the template has no {{{forgotten[0]}}}", where=where, next_step="Add it, or remove the parameter"
        )
    if not made.template and any("{value}" not in word for word, _ in templates if word):
        raise ProjectError(
            "argument has no {value}", where=where, next_step='Write it as "--{name}={value}" or "{name}={value}"'
        )


def _fields(word: str, where: str) -> list[str]:
    try:
        return [name for _, name, _, _ in Formatter().parse(word) if name is not None]
    except ValueError:
        raise ProjectError(f"{word!r} has an open brace", where=where, next_step="Close it, or double it") from None


def _at_least_one(value: object) -> int:
    if (number := count(value)) < 1:
        raise ValueError
    return number


def _stop_after(value: object) -> int:
    """A number, or words that hold one: "no progress in 8 trials"."""
    if isinstance(value, str) and (found := re.fullmatch(r"no progress in (\d+) trials?", value.strip())):
        return int(found[1])
    return count(value)


_KEYS: Keys = {
    "metric": ("the name of a number that the script reports", matching(r"\S{1,128}")),
    "goal": ('"max" or "min"', one_of(*get_args(Goal))),
    "trials": ("a whole number of at least 1", _at_least_one),
    "parallel": ("a whole number of at least 1", _at_least_one),
    "max-failures": ("a whole number of at least 1", _at_least_one),
    "stop-after": ('a number of trials, or "no progress in 8 trials"', _stop_after),
    "algorithm": ('"tpe", "random" or "grid"', one_of(*get_args(Algorithm))),
    "prune": ('"median", "hyperband" or "off"', one_of(*get_args(Prune))),
    "prune-after": ("a whole number of steps", count),
    "measurement": ('"last" or "best"', one_of(*get_args(Measurement))),
    "engine": ('"own" or "vertex"', one_of(*get_args(SweepEngine))),
    "seed": ("a whole number", count),
    "argument": ('a template, as "--{name}={value}"', text),
    "template": ('a list of templates, as ["{lr}", "--depth={depth}"]', arguments),
}
