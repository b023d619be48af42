"""Converts a notebook to a script, as `jupyter nbconvert --to script` does; magics are left out.

The format: https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ....core.errors import ProjectError
from ....core.security.parsed_text import parse_json
from .awaiting_cells import RUNS_CELL, as_coroutine, needs_event_loop

_CELL_MAGIC = re.compile(r"^\s*(%%[\w.]+[^\n]*)")
_KEPT_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun", "%%memit")
"""Cell magics that run the cell's Python; only their own line is left out."""
_LINE_MAGIC = re.compile(r"^\s*(?:[%!]{1,2}[^\n]*|\?{1,2}\w[^\n]*|[\w.]+\?{1,2}|get_ipython\(\)\.[^\n]*)\s*$")
_MEASURED = re.compile(r"^(\s*(?:[A-Za-z_]\w*\s*=\s*)?)%time\s+(?=\S)")
"""A line magic that runs the Python behind it."""
_TAKES_OUTPUT = re.compile(r"^(\s*[A-Za-z_]\w*)\s*=\s*([%!]|get_ipython\(\)\.)")
"""A name that gets what a shell line or a magic returns."""
_WRITES = re.compile(r"^\s*%%(?:writefile|file)\s+(-a\s+)?(\S+)\s*$")
_AS_PYTHON = (
    (re.compile(r"^(\s*)%run\s+(\S+\.py)\s*$"), 'globals().update(__import__("runpy").run_path({0}))'),
    (re.compile(r"^(\s*)%cd\s+(\S+)\s*$"), '__import__("os").chdir(__import__("os").path.expanduser({0}))'),
    (re.compile(r"^(\s*)%(?:set_)?env\s+(\w+)[= ]\s*(.*?)\s*$"), '__import__("os").environ[{0}] = {1}'),
)
"""Line magics on which later cells depend, and what they do in Python."""
_PARTS = re.compile(r"""\"{3}|'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\#.*|[\[({]|[\])}]""")
_STAND_INS = {
    "display": "def display(*objects, **_):\n    print(*objects)",
    "get_ipython": "def get_ipython():\n    return None",
}
"""What a notebook has without an import, as IPython gives it outside of one."""
_FUTURE = re.compile(r"^from __future__ import [^(\n]+$", re.MULTILINE)
_OWN_FOLDER = "import os\n\nos.chdir(os.path.dirname(os.path.abspath(__file__)))"
"""Jupyter runs a notebook in the folder that it lies in."""


class Script(NamedTuple):
    """A notebook as a script: its text, and the magics and shell lines that were left out."""

    text: str
    left_out: tuple[str, ...]


def is_notebook(name: str) -> bool:
    """Whether a file is a notebook by its name."""
    return name.endswith(".ipynb")


def read_notebook(path: Path, *, in_folder: bool = False) -> Script:
    """The script of a notebook.

    Args:
        path: The notebook.
        in_folder: Whether it lies in a folder of the project; the script then changes to it first.

    Raises:
        ProjectError: It isn't a notebook of Python.
    """
    try:
        document = parse_json(path.read_bytes())
        cells: list[dict[str, Any]] = document["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        language = _language(document)
    except OSError as error:
        raise ProjectError(f"can't be read: {error.strerror}", where=path) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ProjectError(
            f"{path.name} is not a notebook in the format 4 of Jupyter: {error}",
            where=path,
            next_step="Open it in Jupyter and save it again",
        ) from error
    if not language.lower().startswith(("python", "ipython")):
        raise ProjectError(
            f"{path.name} is a notebook of {language}, and Python is run",
            where=path,
            next_step="Name what trains in Python as script under [tool.vertex-training], or its words as command",
        )
    left_out: list[str] = []
    converted = [_cell(source, left_out) for source in sources]
    future = dict.fromkeys(line for text in converted for line in _FUTURE.findall(text))  # only first in a file
    in_loop = [needs_event_loop(text) for text in converted]
    parts = ["#!/usr/bin/env python", "# coding: utf-8", *future, _OWN_FOLDER if in_folder else ""]
    parts += [*_stand_ins(converted), RUNS_CELL if any(in_loop) else ""]
    for number, text in enumerate(converted, 1):
        plain = _FUTURE.sub("", text)
        parts += [f"# In[{number}]:", as_coroutine(plain) if in_loop[number - 1] else plain]
    return Script("\n\n".join(part for part in parts if part) + "\n", tuple(left_out))


def _language(document: dict[str, Any]) -> str:
    """The language of a notebook's kernel; Python where none is named."""
    metadata = document.get("metadata") or {}
    found = (metadata.get("kernelspec") or {}).get("language") or (metadata.get("language_info") or {}).get("name")
    return found or "python"


def _stand_ins(cells: Sequence[str]) -> Iterator[str]:
    """Definitions of the functions that only a notebook has, for those that the cells call."""
    code = "\n".join(cells)
    for name, definition in _STAND_INS.items():
        if re.search(rf"(?<![\w.]){name}\(", code) and not re.search(rf"\b(?:import .*|def ){name}\b", code):
            yield definition


def _cell(source: str, left_out: list[str]) -> str:
    magic = _CELL_MAGIC.match(source)
    if magic and (file := _WRITES.match(magic[1])):
        content = source[magic.end() :].removeprefix("\n")
        content += "" if content.endswith("\n") else "\n"
        mode = "a" if file[1] else "w"
        return f"with open({file[2]!r}, {mode!r}, encoding='utf-8') as file:\n    file.write({content!r})"
    if magic and not magic[1].startswith(_KEPT_MAGICS):
        left_out.append(magic[1].strip())
        return ""
    return "\n".join(_lines(source, left_out)).strip("\n")


def _lines(source: str, left_out: list[str]) -> Iterator[str]:
    """The lines of a cell, with what only a notebook runs as comments; a line inside of a statement is Python."""
    statement = _Statement()
    magic_goes_on = False
    for raw in source.splitlines():
        line = raw if statement.is_open else _as_python(raw)
        ends_open = line.rstrip().endswith("\\")
        if magic_goes_on:
            magic_goes_on = ends_open
            yield f"# {line.strip()}"
        elif not statement.is_open and (stand_in := _stand_in(line)) is not None:
            magic_goes_on = ends_open
            left_out.append(line.strip())
            yield stand_in
        else:
            statement.add(line)
            yield line


def _as_python(line: str) -> str:
    """A line with the magics on which later cells depend written in Python."""
    for pattern, python in _AS_PYTHON:
        if found := pattern.match(line):
            indent, *texts = found.groups()
            return indent + python.format(*map(repr, texts))
    return _MEASURED.sub(r"\1", line)


def _stand_in(line: str) -> str | None:
    """What stands for a magic or shell line in the script; None for a line of Python."""
    indent = line[: len(line) - len(line.lstrip())]
    if taken := _TAKES_OUTPUT.match(line):
        return f"{taken[1]} = {'[]' if taken[2] == '!' else 'None'}  # {line.strip()}"
    if _LINE_MAGIC.match(line):
        return f"{indent}pass  # {line.strip()}" if indent else f"# {line.strip()}"
    return None


class _Statement:
    """Whether a statement goes on in the next line: in a bracket, in a long string, or behind a backslash."""

    def __init__(self) -> None:
        self._quote, self._depth, self._continued = "", 0, False

    @property
    def is_open(self) -> bool:
        return bool(self._quote or self._depth or self._continued)

    def add(self, line: str) -> None:
        """Reads one more line."""
        at = self._end_of_string(line) if self._quote else 0
        while not self._quote and (part := _PARTS.search(line, at)):
            text, at = part[0], part.end()
            if text in {'"""', "'''"}:
                self._quote = text
                at += self._end_of_string(line[at:])
            self._depth = max(self._depth + (text in "([{") - (text in ")]}"), 0)
        self._continued = not self._quote and "#" not in line[at:] and line.endswith("\\")

    def _end_of_string(self, text: str) -> int:
        """The place behind the end of the open string; the whole line if it goes on."""
        found = re.match(rf"(?:\\.|(?!{self._quote})[^\\])*{self._quote}", text)
        if found is None:
            return len(text)
        self._quote = ""
        return found.end()
