"""Reading a table of settings: each key's value by the function that knows what it must be.

A reader takes what TOML gave and returns the setting's value; it raises TypeError or ValueError for anything else.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...core.errors import ProjectError

Keys = Mapping[str, tuple[str, Callable[[object], object]]]
"""Key to what its value must be, in words, and its reader."""


def read_table(table: Mapping[str, Any], keys: Keys, name: str, file: Path) -> dict[str, Any]:
    """The values of a table, by the keys' names with `_` for `-`.

    Args:
        table: As TOML has it.
        keys: Those that it may have.
        name: The table's, for messages.
        file: Where it stands, for messages.

    Raises:
        ProjectError: A key that is unknown, or a value that is wrong.
    """
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in keys:
            near = difflib.get_close_matches(key.replace("_", "-"), keys, n=1, cutoff=0.5)
            step = f"Did you mean {near[0]}?" if near else f"The keys are {', '.join(sorted(keys))}"
            raise ProjectError(f"unknown key {key} in [{name}]", where=file, next_step=step)
        wanted, read = keys[key]
        try:
            values[key.replace("-", "_")] = read(value)
        except (TypeError, ValueError):
            raise ProjectError(
                f"{key} in [{name}] must be {wanted}, not {value!r}", where=file, next_step="Correct that value"
            ) from None
    return values


def text(value: object) -> str:
    """A text that is not blank."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise TypeError
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of texts; empty ones are kept."""
    if not isinstance(value, list):
        raise TypeError
    return tuple(item if item == "" else text(item) for item in value)


def patterns(value: object) -> tuple[str, ...]:
    """A list of patterns in the form of .gitignore, which calls almost any text a pattern."""
    found = texts(value)
    if "!" in found:
        raise ValueError
    return found


def arguments(value: object) -> tuple[str, ...]:
    """Arguments may be numbers: `args = ["--epochs", 3]` is what people write."""
    if not isinstance(value, list) or any(isinstance(item, (bool, dict, list)) for item in value):
        raise TypeError
    return tuple(item if isinstance(item, str) else str(item) for item in value)


def matching(pattern: str) -> Callable[[object], str]:
    """A text of that form."""

    def read(value: object) -> str:
        if not re.fullmatch(pattern, text(value)):
            raise ValueError
        return str(value)

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


def inside(value: object) -> str:
    """A path inside the project."""
    path = text(value)
    if path.startswith("/") or ".." in Path(path).parts:
        raise ValueError
    return Path(path).as_posix()


def insides(value: object) -> tuple[str, ...]:
    """Paths inside the project."""
    return tuple(inside(item) for item in texts(value))


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise TypeError
    return value


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def duration(value: object) -> float:
    """Seconds, 0 or more: a number of them, or a text such as "90m", "24h" or "7d"."""
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value.strip())
        if not found:
            raise ValueError
        return float(found[1]) * _UNITS[found[2]]
    return 0.0 if value == 0 and not isinstance(value, bool) else number(value)
