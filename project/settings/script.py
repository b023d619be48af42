"""Finds the training script of a project."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.errors import ProjectError

_TIERS = (
    ("train.py", "main.py", "task.py", "training.py"),
    ("src/train.py", "src/main.py", "trainer/task.py", "trainer/train.py", "training/train.py"),
)
"""Usual places of the script. Only the first tier with a match counts: `train.py` may import `src/train.py`."""

SET_SCRIPT = 'set script = "..." under [tool.vertex-training] in pyproject.toml'


def choose_script(root: Path, wanted: str | None) -> str:
    """The training script, relative to `root`: `wanted`, else the only candidate.

    Raises:
        ProjectError: The script is missing, not a Python file or outside the project, or there are several
            candidates.
    """
    if wanted is not None:
        return _checked(root, wanted)
    for tier in _TIERS:
        found = [name for name in tier if (root / name).is_file() or (root / name).is_symlink()]
        if len(found) > 1:
            raise ProjectError(
                f"{len(found)} files could be the training script: {' and '.join(found)}",
                where=root,
                next_step=f"Choose one: {SET_SCRIPT}",
            )
        if found:
            return _checked(root, found[0])
    raise _no_script(root)


def _no_script(root: Path) -> ProjectError:
    notebooks = sorted(path.name for path in root.glob("*.ipynb"))
    scripts = sorted(path.name for path in root.glob("*.py"))
    scripts += sorted(path.relative_to(root).as_posix() for path in root.glob("[!.]*/[!.]*/train.py"))
    if scripts:
        step = f"There is {', '.join(scripts[:5])}: {SET_SCRIPT}"
    elif notebooks:
        step = f"Convert the notebook to a script: jupyter nbconvert --to script {notebooks[0]} --output train"
    else:
        step = f"Add a train.py, or {SET_SCRIPT}"
    return ProjectError(f"no training script: looked for {', '.join(_TIERS[0])}", where=root, next_step=step)


def _checked(root: Path, name: str) -> str:
    path = root / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(root):
        raise ProjectError(
            f"the script {name} is outside the project",
            where=root,
            next_step="Move it into the project: only the project's folder is sent to the cloud",
        )
    if path.is_symlink() and not path.exists():
        raise ProjectError(
            f"the script {name} is a link to {path.readlink()}, which does not exist",
            where=root,
            next_step="Fix the link",
        )
    if path.is_dir():
        raise ProjectError(f"the script {name} is a folder", where=root, next_step="Name the .py file in it")
    if not path.is_file():
        raise ProjectError(f"there is no script {name}", where=root, next_step=f"Add it, or {SET_SCRIPT}")
    if path.suffix != ".py":
        raise ProjectError(f"the script {name} is not a .py file", where=root, next_step="Name a .py file")
    return os.path.normpath(name)
