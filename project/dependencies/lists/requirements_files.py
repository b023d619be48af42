"""Finds requirements files that have another name than requirements.txt, or lie in a folder."""

from __future__ import annotations

import re
from pathlib import Path

from ....core.errors import DependencyError
from ..formats.requirements_txt import Requirements, decoded, read_file

_PATTERNS = ("requirements*.txt", "requirements*.in", "requirements/*.txt", "requirements/*.in", "reqs/*.txt")
_FOR_WORK = re.compile(
    r"(^|[-_./])(dev|develop|development|tests?|testing|docs?|lint|ci|format|style|build|optional)\b"
)
_SETTING = 'Choose one: requirements = "{}" under [tool.vertex-training]'


def candidates(root: Path) -> list[str]:
    """Paths of all requirements files but requirements.txt, relative to the project, sorted."""
    found = {path.relative_to(root).as_posix() for pattern in _PATTERNS for path in root.glob(pattern)}
    return sorted(name for name in found - {"requirements.txt"} if (root / name).is_file())


def read(root: Path) -> Requirements | None:
    """Reads the only requirements file that is for running the code; None if there is none.

    requirements.in comes first. Files for development, tests and the like don't count, nor do .in files beside the
    .txt file that was made of them, nor files that another one includes.

    Raises:
        DependencyError: There are several; it names them.
    """
    names = [name for name in candidates(root) if not _FOR_WORK.search(name.removesuffix(".txt").removesuffix(".in"))]
    if "requirements.in" in names:
        names = ["requirements.in"]
    names = [name for name in names if not name.endswith(".in") or f"{name[:-3]}.txt" not in names]
    included = {other for name in names for other in _included(root, name)}
    names = [name for name in names if name not in included]
    if len(names) > 1:
        raise DependencyError(
            f"there are several lists of dependencies: {', '.join(names)}",
            where=root,
            next_step=_SETTING.format(names[0]),
        )
    if not names:
        return None
    listed = read_file(root, root / names[0])
    return Requirements(names[0], listed.lines, listed.options, listed.hashes)


def _included(root: Path, name: str) -> set[str]:
    """The files that a requirements file includes, relative to the project."""
    targets = re.findall(r"^(?:-r|--requirement)[ =]*(\S+)", decoded(root / name, name), re.MULTILINE)
    paths = ((root / name).parent.joinpath(target.replace("\\", "/")).resolve() for target in targets)
    return {path.relative_to(root).as_posix() for path in paths if path.is_relative_to(root)}
