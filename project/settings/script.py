"""Which file is the training script."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.errors import ProjectError

_TIERS = (
    ("train.py", "main.py", "task.py", "training.py"),
    ("src/train.py", "src/main.py", "trainer/task.py", "trainer/train.py", "training/train.py"),
)
"""Where people keep it. The first tier that has any decides: a `train.py` may import `src/train.py`."""

SET_SCRIPT = 'set script = "..." under [tool.vertex-training] in pyproject.toml'


def choose_script(root: Path, wanted: str | None) -> str:
    """The training script, relative to `root`: `wanted`, else the one candidate.

    Raises:
        ProjectError: It is missing, not a Python file or outside the project, or there are several.
    """
    if wanted is not None:
        return _checked(root, wanted)
    for tier in _TIERS:
        found = [name for name in tier if (root / name).is_file() or (root / name).is_symlink()]
        if len(found) > 1:
            raise ProjectError(
                f"{len(found)} files could be the training script: {' and '.join(found)}",
                where=root,
                next_step=f"Say which: {SET_SCRIPT}",
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
        step = f"Make it a script first: jupyter nbconvert --to script {notebooks[0]} --output train"
    else:
        step = f"Add a train.py, or {SET_SCRIPT}"
    return ProjectError(f"no training script: looked for {', '.join(_TIERS[0])}", where=root, next_step=step)


def _checked(root: Path, name: str) -> str:
    path = root / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(root):
        raise ProjectError(
            f"the script {name} lies outside the project",
            where=root,
            next_step="Move it into the project: only files inside travel to the cloud",
        )
    if path.is_symlink() and not path.exists():
        raise ProjectError(
            f"the script {name} is a link to {path.readlink()}, which does not exist",
            where=root,
            next_step="Correct the link",
        )
    if path.is_dir():
        raise ProjectError(f"the script {name} is a folder", where=root, next_step="Name the .py file in it")
    if not path.is_file():
        raise ProjectError(f"there is no script {name}", where=root, next_step=f"Add it, or {SET_SCRIPT}")
    if path.suffix != ".py":
        raise ProjectError(f"the script {name} is not a .py file", where=root, next_step="Name a .py file")
    return os.path.normpath(name)
