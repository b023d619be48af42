"""Finds the Python version of a project."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import ProjectError
from .script_metadata import wanted_python

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

CONDA_FILES = ("environment.yml", "environment.yaml", "conda.yml", "conda.yaml")
"""Usual names for the file of a conda environment."""

_MINORS = tuple(
    f"3.{minor}" for minor in sorted(range(9, 15), key=lambda minor: (abs(minor - sys.version_info[1]), -minor))
)
"""Versions to try if `requires-python` excludes this interpreter, the nearest first: likely here, and with wheels."""


def this_python() -> str:
    """This interpreter's minor version, such as "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def choose_python(root: Path, document: Mapping[str, Any], script: str = "") -> str:
    """The minor version that the project wants, else that of this interpreter.

    The first of these counts: `.python-version`, asdf's `.tool-versions`, `requires-python` in pyproject.toml, Poetry's
    `python` there, `python_requires` of setup.cfg and setup.py, `requires-python` in the script's own block,
    Pipfile's `python_version`, conda's file.

    Args:
        root: The project's folder.
        document: The content of its pyproject.toml.
        script: The script, relative to the project; empty for none.

    Raises:
        ProjectError: `requires-python` is invalid, or no Python version satisfies it.
    """
    return (
        _python_version_file(root)
        or _named(root / ".tool-versions", r"^python[ \t]+(3\.\d{1,2})\b")
        or _satisfying(_of_project(document), root / "pyproject.toml")
        or _of_poetry(document)
        or _of_setuptools(root)
        or _satisfying(wanted_python(root / script), root / script)
        or _named(root / "Pipfile", r"^python_(?:full_)?version *= *[\"'](3\.\d{1,2})\b")
        or _conda_file(root)
        or this_python()
    )


def _python_version_file(root: Path) -> str | None:
    try:
        text = (root / ".python-version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # pyenv also allows the name of a virtual environment there, which contains no version.
    match = re.match(r"\s*(?:cpython[-@])?(3\.\d{1,2})(?:\.\d+)?\s*(?:$|\n)", text)
    return match[1] if match else None


def _named(path: Path, pattern: str) -> str | None:
    """The minor version in the first line of a file that the pattern matches."""
    if not path.is_file():
        return None
    found = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return found[1] if found else None


def _of_poetry(document: Mapping[str, Any]) -> str | None:
    """The version that Poetry's own form allows: `^3.9`, `~3.10`, `3.10.*`, with `||` between alternatives.

    https://python-poetry.org/docs/dependency-specification/
    """
    try:
        wanted = document["tool"]["poetry"]["dependencies"]["python"]
    except (KeyError, TypeError):
        return None
    texts = [_as_specifiers(part) for part in wanted.split("||")] if isinstance(wanted, str) else []
    return _first_allowed(texts)


def _as_specifiers(text: str) -> str:
    parts = re.split(r"[, ]+", re.sub(r"([<>=~^!])\s+", r"\1", text.strip()))
    return ",".join(filter(None, map(_as_specifier, parts)))


def _as_specifier(part: str) -> str:
    if part in {"", "*"}:
        return ""
    if found := re.fullmatch(r"([~^])?3(?:\.(\d+))?(?:\.(?:\d+|\*))?", part):
        sign, minor = found.groups()
        if minor is None or sign == "^":
            return f">=3.{minor or 0},<4"
        return f"==3.{minor}.*"
    return part


def _of_setuptools(root: Path) -> str | None:
    """The version that `python_requires` of setup.cfg or setup.py allows; None if neither limits it."""
    for name in ("setup.cfg", "setup.py"):
        path = root / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        if found := re.search(r"""^\s*python_requires\s*=\s*["']?([<>=!~][^"'\n#]*)""", text, re.MULTILINE):
            return _first_allowed([found[1].strip().rstrip(",)")])
    return None


def _first_allowed(texts: Sequence[str]) -> str | None:
    """This interpreter's version, else the nearest, that one of the specifiers allows; None if none does."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = [SpecifierSet(text) for text in texts]
    except InvalidSpecifier:  # what reads the list says so
        return None
    return next((minor for minor in (this_python(), *_MINORS) if any(_allows(it, minor) for it in allowed)), None)


def _allows(specifiers: SpecifierSet, minor: str) -> bool:
    """The patch version plays no part: an image with 3.11 satisfies ">=3.11.4"."""
    return any(specifiers.contains(f"{minor}.{patch}") for patch in (0, 99))


def _conda_file(root: Path) -> str | None:
    for name in CONDA_FILES:
        path = root / name
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            found = re.search(r"^\s*-\s*[\"']?python\s*={1,2}\s*(3\.\d{1,2})\b", text, re.MULTILINE)
            return found[1] if found else None
    return None


def _of_project(document: Mapping[str, Any]) -> object:
    project = document.get("project", {})
    return project.get("requires-python") if isinstance(project, dict) else None


def _satisfying(wanted: object, where: Path) -> str | None:
    """The version that `requires-python` in the file `where` allows: this interpreter's, else the nearest."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if wanted is None:
        return None
    try:
        specifiers = SpecifierSet(wanted)  # pyright: ignore[reportArgumentType] - whatever TOML holds
    except (InvalidSpecifier, TypeError, AttributeError) as error:
        raise ProjectError(
            f"requires-python can't be read: {wanted!r}", where=where, next_step='Write it as ">=3.11"'
        ) from error
    for minor in (this_python(), *_MINORS):
        if _allows(specifiers, minor):
            return minor
    raise ProjectError(
        f"no Python version satisfies requires-python {wanted!r}",
        where=where,
        next_step=f'Relax it, or set python = "{this_python()}" under [tool.vertex-training]',
    )
