"""Lists of dependencies that a project has beside the one that counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ....core.errors import DependencyError
from ...settings.python_version import CONDA_FILES
from ...settings.settings import Settings
from ..formats import pyproject, script_block
from .requirements_files import candidates

_FILES = ("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt", "Pipfile")
_OTHER_TOOLS = {
    "pixi.toml": "pixi workspace export conda-environment environment.yml",
    "pixi.lock": "pixi workspace export conda-environment environment.yml",
    "conda-lock.yml": "conda-lock render --kind env --filename-template environment.yml",
    "hatch.toml": "hatch dep show requirements > requirements.txt",
}
"""Lists that nothing here reads, and the command that makes one of them that is read."""
_OTHER_NAMES = ("pylock.*.toml", "environment*.y*ml")
_NESTED = ("[!.]*/requirements*.txt", "[!.]*/environment*.y*ml")
"""Lists in folders, which may be those of other programs; named where there is none in the project's own."""
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
    seen = dict.fromkeys([*_seen(root, settings), *(_globbed(root, _NESTED) if method == "nothing" else ())])
    found = [name for name in seen if name not in used and name.rpartition("/")[2] not in text]
    if not found:
        return None
    if method == "nothing" and (command := next(filter(None, map(_OTHER_TOOLS.get, found)), None)):
        return f"seen and not used: {', '.join(found)}; make a list that can be read of it: {command}"
    counts = f"{method} counts" if method != "nothing" else "none of them is for running the script"
    return (
        f"seen and not used: {', '.join(found)}; {counts} (freeze or requirements under [tool.vertex-training] "
        "chooses another list)"
    )


def _seen(root: Path, settings: Settings) -> list[str]:
    found = [name for name in (*_FILES, *CONDA_FILES) if (root / name).is_file()]
    found += [*candidates(root), *_globbed(root, [*_OTHER_TOOLS, *_OTHER_NAMES])]
    try:
        document = pyproject.document(root)
        if "dependencies" in document.get("project", {}) or _of_a_tool(document.get("tool", {})):
            found.append("pyproject.toml")
        if script_block.read(root, settings.script):
            found.append(settings.script)
    except DependencyError:  # it isn't used
        pass
    found += [name for name in ("setup.cfg", "setup.py") if re.search(r"install_requires\s*=", _text(root, name))]
    return found


def _of_a_tool(tools: Mapping[str, Any]) -> bool:
    """Whether pixi, Hatch or an old Flit keeps a list of its own in pyproject.toml."""
    environments = tools.get("hatch", {}).get("envs", {})
    hatch = any("dependencies" in it for it in environments.values() if isinstance(it, dict))
    return hatch or "dependencies" in tools.get("pixi", {}) or "requires" in tools.get("flit", {}).get("metadata", {})


def _globbed(root: Path, patterns: Sequence[str]) -> list[str]:
    found = {path.relative_to(root).as_posix() for pattern in patterns for path in root.glob(pattern)}
    return sorted(name for name in found if (root / name).is_file())


def _text(root: Path, name: str) -> str:
    """The text of a list, which can name other lists that it is made of."""
    path = root / name
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
