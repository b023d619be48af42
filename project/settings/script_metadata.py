"""The block of metadata in a script (PEP 723): https://packaging.python.org/en/latest/specifications/inline-script-metadata/."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from ...core.security.parsed_text import parse_toml

_BLOCK = re.compile(r"^# /// script$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///$", re.MULTILINE)


class Block(NamedTuple):
    """A script's block: the line in which it begins, and its content as TOML."""

    line: int
    content: str

    def table(self) -> dict[str, Any]:
        """The content.

        Raises:
            tomllib.TOMLDecodeError: It is not valid TOML.
        """
        return parse_toml(self.content)


def find_block(text: str) -> Block | None:
    """The block in a script's text; None without one."""
    text = text.replace("\r\n", "\n")
    found = _BLOCK.search(text)
    if found is None:
        return None
    content = "".join(line.removeprefix("#").removeprefix(" ") for line in found["content"].splitlines(keepends=True))
    return Block(text[: found.start()].count("\n") + 1, content)


def wanted_python(script: Path) -> str | None:
    """`requires-python` of a script's block; None without one, or if the block can't be read."""
    try:
        block = find_block(script.read_text(encoding="utf-8-sig")) if script.suffix == ".py" else None
        wanted = block.table().get("requires-python") if block else None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None  # whoever reads its dependencies reports it
    return wanted if isinstance(wanted, str) else None
