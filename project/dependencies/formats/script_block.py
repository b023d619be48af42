"""Reads the dependencies in a script's own block: https://packaging.python.org/en/latest/specifications/inline-script-metadata/."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from ....core.errors import DependencyError
from .requirements_txt import Line, Requirements, decoded, package_of

_BLOCK = re.compile(r"^# /// script$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///$", re.MULTILINE)


def read(root: Path, script: str) -> Requirements | None:
    """Reads the script's block; None if it has none, or one without dependencies.

    Raises:
        DependencyError: The block is not valid TOML.
    """
    path = root / script
    if path.suffix != ".py" or not path.is_file():
        return None
    text = decoded(path, script).replace("\r\n", "\n")
    found = _BLOCK.search(text)
    if found is None:
        return None
    content = "".join(line.removeprefix("#").removeprefix(" ") for line in found["content"].splitlines(keepends=True))
    number = text[: found.start()].count("\n") + 1
    try:
        dependencies = tomllib.loads(content).get("dependencies", [])
    except tomllib.TOMLDecodeError as error:
        raise DependencyError(
            f"its script block is not valid TOML: {error}", where=f"{script}:{number}", next_step="Fix that block"
        ) from error
    lines = [
        Line(script, text[: max(text.find(item, found.start()), 0)].count("\n") + 1, item, package_of(item))
        for item in dependencies
    ]
    return Requirements(script, tuple(lines)) if lines else None
