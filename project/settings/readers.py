"""Reads a table of settings: a reader for each key checks the value.

A reader takes the value that TOML gave and returns the setting's value. It raises TypeError or ValueError if the value
is invalid.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import ProjectError
from ...core.placeholders import has_placeholder
from ...core.security.secret_sources import BUILD_FORMS, BUILD_KINDS, FORMS, JOB_KINDS, Kind, SecretSource
from .toml_lines import place_of

Keys = Mapping[str, tuple[str, Callable[[object], object]]]
"""For each key a description of valid values, for messages, and the reader."""


_LONGEST_NAME = 255
"""Bytes of a file's or folder's name: common file systems take no longer one."""

_UNSHOWN = frozenset({"secret-env", "build-secrets"})
"""Keys whose values are not repeated in messages: somebody may have written a secret there."""


class UnknownChoice(ValueError):
    """A value that is not one of a few valid ones.

    Args:
        value: The invalid value.
        choices: The valid values.
    """

    def __init__(self, value: object, choices: Iterable[str]) -> None:
        self.value = str(value)
        self.choices = tuple(choices)
        super().__init__(value)


class WrongSource(ValueError):
    """An entry of a table of secrets; what stands there is not shown, because somebody may have written a secret.

    Args:
        name: The entry's name.
        why: What is wrong with it.
    """

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(why)


def read_table(table: Mapping[str, Any], keys: Keys, name: str, file: Path) -> dict[str, Any]:
    """The values in a table, by their keys' names with `_` for `-`.

    Args:
        table: The table as TOML gave it.
        keys: The valid keys.
        name: The table's name, for messages.
        file: The file that holds it, for messages.

    Raises:
        ProjectError: A key is unknown or a value is invalid; it names file, line and the nearest valid one.
    """
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in keys:
            step = _did_you_mean(key.replace("_", "-"), keys) or f"The keys are {', '.join(sorted(keys))}"
            raise ProjectError(f"unknown key {key} in [{name}]", where=place_of(file, name, key), next_step=step)
        description, read = keys[key]
        try:
            values[key.replace("-", "_")] = read(value)
        except WrongSource as error:
            raise ProjectError(
                f"{error.name} in {key} of [{name}] {error.why}",
                where=place_of(file, name, key),
                next_step="A value itself doesn't belong here: save it, and name the place",
            ) from None
        except (TypeError, ValueError) as error:
            near = _did_you_mean(error.value, error.choices) if isinstance(error, UnknownChoice) else None
            raise ProjectError(
                f"{key} in [{name}] must be {description}" + ("" if key in _UNSHOWN else f", not {value!r}"),
                where=place_of(file, name, key),
                next_step=near or "Fix that value",
            ) from None
    return values


def _did_you_mean(text: str, choices: Iterable[str]) -> str | None:
    """A question with the choice that is most like `text`; None if none is."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(text.lower(), by_lower, n=1, cutoff=0.5)
    return f"Did you mean {by_lower[near[0]]}?" if near else None


def text(value: object) -> str:
    """A text that is not blank."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise TypeError
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of texts, which may be empty texts."""
    if not isinstance(value, list):
        raise TypeError
    return tuple(item if item == "" else text(item) for item in value)


def names(value: object) -> tuple[str, ...]:
    """A list of names of packages, extras or groups."""
    found = texts(value)
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", item) for item in found):
        raise ValueError
    return found


def patterns(value: object) -> tuple[str, ...]:
    """A list of patterns in the form of .gitignore, where almost any text is a pattern."""
    found = texts(value)
    if "!" in found:
        raise ValueError
    return found


def arguments(value: object) -> tuple[str, ...]:
    """A list of arguments, which may be numbers, as in `args = ["--epochs", 3]`."""
    if not isinstance(value, list) or any(isinstance(item, (bool, dict, list)) for item in value):
        raise TypeError
    return tuple(item if isinstance(item, str) else str(item) for item in value)


def command(value: object) -> tuple[str, ...]:
    """A program and its words."""
    words = arguments(value)
    if not words or not words[0].strip() or has_placeholder(words[0]):
        raise ValueError
    return words


def matching(pattern: str) -> Callable[[object], str]:
    """A reader of texts that match a regular expression; `a|b|c` is read by `one_of`."""
    if re.fullmatch(r"[\w-]+(\|[\w-]+)+", pattern):
        return one_of(*pattern.split("|"))

    def read(value: object) -> str:
        if not re.fullmatch(pattern, text(value)):
            raise ValueError
        return str(value)

    return read


def one_of(*choices: str) -> Callable[[object], str]:
    """A reader of a text that must be one of a few; an error message suggests the nearest one."""

    def read(value: object) -> str:
        if (found := text(value)) not in choices:
            raise UnknownChoice(found, choices)
        return found

    return read


def number(value: object) -> float:
    """A number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise TypeError
    return float(value)


def count(value: object) -> int:
    """A whole number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def environment(value: object) -> dict[str, str]:
    """A table of variables."""
    if not isinstance(value, dict):
        raise TypeError
    for key, item in value.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) or not isinstance(item, str) or "\0" in item:
            raise ValueError
    return dict(value)


def secret_sources(value: object) -> dict[str, SecretSource]:
    """A table of variables and where their secret values come from."""
    return _sources(value, r"[A-Za-z_][A-Za-z0-9_]*", "a variable's name", JOB_KINDS)


def build_secrets(value: object) -> dict[str, SecretSource]:
    """A table of ids, as a Dockerfile names them, and where the values come from."""
    return _sources(value, r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "an id of letters, digits, '_', '.' and '-'", BUILD_KINDS)


def _sources(value: object, names: str, named: str, kinds: Sequence[Kind]) -> dict[str, SecretSource]:
    if not isinstance(value, dict):
        raise TypeError
    found: dict[str, SecretSource] = {}
    for name, source in value.items():
        if not re.fullmatch(names, name):
            raise WrongSource(name, f"is not {named}")
        try:
            found[name] = SecretSource.parse(text(source), kinds)
        except (TypeError, ValueError):
            forms = FORMS if kinds == JOB_KINDS else BUILD_FORMS
            raise WrongSource(name, f"must be a source: {forms}") from None
    return found


def inside(value: object) -> str:
    """A path inside the project."""
    path = text(value)
    parts = Path(path).parts
    if path.startswith("/") or ".." in parts or any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts):
        raise ValueError
    return Path(path).as_posix()


def insides(value: object) -> tuple[str, ...]:
    """A list of paths inside the project."""
    return tuple(inside(item) for item in texts(value))


def output_patterns(value: object) -> tuple[str, ...]:
    """A list of patterns of files inside the working directory; each names a file or a folder."""
    found = tuple(inside(item) for item in texts(value))
    if any(item == "." for item in found):
        raise ValueError
    return found


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise TypeError
    return value


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def duration(value: object) -> float:
    """Seconds, 0 or more: a number, or a text such as "90m", "24h" or "7d"."""
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value.strip())
        if not found:
            raise ValueError
        return float(found[1]) * _UNITS[found[2]]
    return 0.0 if value == 0 and not isinstance(value, bool) else number(value)


def table(value: object) -> dict[str, Any]:
    """A table, whose keys are checked later."""
    if not isinstance(value, dict):
        raise TypeError
    return value
