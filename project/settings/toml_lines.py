"""Line numbers of keys in a TOML file, for error messages; `tomllib` doesn't give them."""

from __future__ import annotations

import re
from pathlib import Path

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$")


def place_of(file: Path, table: str, key: str) -> str:
    """`file:line` of a key in a table, or of the table's header; the file alone if neither has a line of its own.

    Args:
        file: A valid TOML file.
        table: The table's dotted name, such as "tool.vertex-training".
        key: A key in it, or the name of a table in it.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return str(file)
    number = _line(lines, _parts(table), key)
    return f"{file}:{number}" if number else str(file)


def _line(lines: list[str], table: list[str], key: str) -> int:
    """The line of the key, else of the header of its table, else 0."""
    assignment = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[.=]""")
    current: list[str] = []
    header = 0
    for number, line in enumerate(lines, 1):
        if found := _HEADER.match(line):
            current = _parts(found[1])
            if current[: len(table) + 1] == [*table, key]:
                return number
            header = number if current == table else header
        elif current == table and assignment.match(line):
            return number
    return header


def _parts(name: str) -> list[str]:
    """The parts of a dotted name; quoted parts with a dot don't occur in our tables."""
    return [part.strip().strip("\"'") for part in name.split(".")]
