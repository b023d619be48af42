"""Converts a notebook to a script, as `jupyter nbconvert --to script` does; magics are left out.

The format: https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...core.errors import ProjectError

_CELL_MAGIC = re.compile(r"^\s*(%%[\w.]+[^\n]*)")
_KEPT_MAGICS = ("%%time", "%%timeit", "%%capture")
"""Cell magics that run the cell's Python; only their own line is left out."""
_LINE_MAGIC = re.compile(r"^\s*([%!]{1,2}[^\n]*|\?{1,2}\w[^\n]*|[\w.]+\?{1,2})\s*$")


class Script(NamedTuple):
    """A notebook as a script: its text, and the magics and shell lines that were left out."""

    text: str
    left_out: tuple[str, ...]


def is_notebook(name: str) -> bool:
    """Whether a file is a notebook by its name."""
    return name.endswith(".ipynb")


def read_notebook(path: Path) -> Script:
    """The script of a notebook.

    Raises:
        ProjectError: It isn't a notebook of Python.
    """
    try:
        document = json.loads(path.read_bytes())
        cells: list[dict[str, Any]] = document["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except OSError as error:
        raise ProjectError(f"can't be read: {error.strerror}", where=path) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ProjectError(
            f"{path.name} is not a notebook in the format 4 of Jupyter: {error}",
            where=path,
            next_step="Open it in Jupyter and save it again",
        ) from error
    left_out: list[str] = []
    parts = ["#!/usr/bin/env python", "# coding: utf-8"]
    for number, source in enumerate(sources, 1):
        parts += [f"# In[{number}]:", _cell(source, left_out)]
    return Script("\n\n".join(part for part in parts if part) + "\n", tuple(left_out))


def _cell(source: str, left_out: list[str]) -> str:
    magic = _CELL_MAGIC.match(source)
    if magic and not magic[1].startswith(_KEPT_MAGICS):
        left_out.append(magic[1].strip())
        return ""
    return "\n".join(_lines(source, left_out)).strip("\n")


def _lines(source: str, left_out: list[str]) -> Iterator[str]:
    for line in source.splitlines():
        if _LINE_MAGIC.match(line) and not line.lstrip().startswith(("% ", "%(", "!=")):
            left_out.append(line.strip())
            indent = line[: len(line) - len(line.lstrip())]
            yield f"{indent}pass  # {line.strip()}" if indent else f"# {line.strip()}"
        else:
            yield line
