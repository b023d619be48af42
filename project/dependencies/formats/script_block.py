"""Reads the dependencies in a script's own block (PEP 723)."""

from __future__ import annotations

import tokenize
import tomllib
from pathlib import Path

from ....core.errors import DependencyError
from ...settings.script_metadata import find_block
from .requirements_txt import Line, Requirements, package_of


def read(root: Path, script: str) -> Requirements | None:
    """Reads the script's block; None if it has none, or one without dependencies.

    Raises:
        DependencyError: The block is not valid TOML.
    """
    path = root / script
    if path.suffix != ".py" or not path.is_file():
        return None
    text = _source(path)
    block = find_block(text)
    if block is None:
        return None
    try:
        dependencies = block.table().get("dependencies", [])
    except tomllib.TOMLDecodeError as error:
        raise DependencyError(
            f"its script block is not valid TOML: {error}", where=f"{script}:{block.line}", next_step="Fix that block"
        ) from error
    begin = sum(len(line) for line in text.splitlines(keepends=True)[: block.line - 1])
    lines = [
        Line(script, text[: max(text.find(item, begin), 0)].count("\n") + 1, item, package_of(item))
        for item in dependencies
    ]
    return Requirements(script, tuple(lines)) if lines else None


def _source(path: Path) -> str:
    """A script's text in the encoding that its first lines declare; empty where Python can't read it either."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""
