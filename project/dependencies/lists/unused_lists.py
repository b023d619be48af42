"""Lists of dependencies that a project has beside the one that counts."""

from __future__ import annotations

import re
from pathlib import Path

from ....core.errors import DependencyError
from ...settings.python_version import CONDA_FILES
from ...settings.settings import Settings
from ..formats import pyproject, script_block
from .requirements_files import candidates

_FILES = ("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt", "Pipfile")
_SOURCES = {
    "uv.lock": ("pyproject.toml",),
    "pylock.toml": ("pyproject.toml",),
    "poetry.lock": ("pyproject.toml",),
    "pdm.lock": ("pyproject.toml",),
    "Pipfile.lock": ("Pipfile",),
    "requirements.txt": ("requirements.in",),
    "conda": CONDA_FILES,
}
"""Files that a list is made of, which say nothing else."""


def note(root: Path, settings: Settings, method: str) -> str | None:
    """One sentence that names the lists that were seen and not used; None if there are none."""
    used = {method, *_SOURCES.get(method, ())}
    text = _text(root, method)
    if re.search(r"^\s*(?:(?:-e|--editable)[ =]*)?\.(?:\[[^\]]*\])?\s*(?:[#;].*)?$", text, re.MULTILINE):
        used |= {"pyproject.toml", "setup.cfg", "setup.py"}  # the list names the project itself
    found = [name for name in _seen(root, settings) if name not in used and name.rpartition("/")[2] not in text]
    if not found:
        return None
    counts = f"{method} counts" if method != "nothing" else "none of them is for running the script"
    return (
        f"seen and not used: {', '.join(found)}; {counts} (freeze or requirements under [tool.vertex-training] "
        "chooses another list)"
    )


def _seen(root: Path, settings: Settings) -> list[str]:
    found = [name for name in (*_FILES, *CONDA_FILES) if (root / name).is_file()]
    found += candidates(root)
    try:
        if "dependencies" in pyproject.document(root).get("project", {}):
            found.append("pyproject.toml")
        if script_block.read(root, settings.script):
            found.append(settings.script)
    except DependencyError:  # it isn't used
        pass
    found += [name for name in ("setup.cfg", "setup.py") if re.search(r"install_requires\s*=", _text(root, name))]
    return found


def _text(root: Path, name: str) -> str:
    """The text of a list, which can name other lists that it is made of."""
    path = root / name
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
