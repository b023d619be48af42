"""Finds the Python version of a project."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import ProjectError
from .script_metadata import wanted_python

CONDA_FILES = ("environment.yml", "environment.yaml", "conda.yml", "conda.yaml")
"""Usual names for the file of a conda environment."""

_MINORS = tuple(f"3.{minor}" for minor in range(14, 8, -1))
"""Versions to try if `requires-python` excludes this interpreter, newest first."""


def this_python() -> str:
    """This interpreter's minor version, such as "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def choose_python(root: Path, document: Mapping[str, Any], script: str = "") -> str:
    """The minor version that the project wants, else that of this interpreter.

    The first of these counts: `.python-version`, `requires-python` in pyproject.toml, then in the script's own block,
    conda's file.

    Args:
        root: The project's folder.
        document: The content of its pyproject.toml.
        script: The script, relative to the project; empty for none.

    Raises:
        ProjectError: `requires-python` is invalid, or no Python version satisfies it.
    """
    return (
        _python_version_file(root)
        or _satisfying(_of_project(document), root / "pyproject.toml")
        or _satisfying(wanted_python(root / script), root / script)
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
    """The version that `requires-python` in the file `where` allows: this interpreter's, else the newest."""
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
        # The patch version plays no part: an image with 3.11 satisfies ">=3.11.4".
        if any(specifiers.contains(f"{minor}.{patch}") for patch in (0, 99)):
            return minor
    raise ProjectError(
        f"no Python version satisfies requires-python {wanted!r}",
        where=where,
        next_step=f'Relax it, or set python = "{this_python()}" under [tool.vertex-training]',
    )
