"""Finds requirements files that have another name than requirements.txt, or lie in a folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from ....core.errors import DependencyError
from ..formats.requirements_txt import Requirements, decoded, read_file

_PATTERNS = (
    *("requirements*.txt", "requirements*.in", "requirements/*.txt", "requirements/*.in", "reqs/*.txt"),
    *("requirements*.lock", "[Rr]equirement.txt", "R[Ee][Qq][Uu][Ii][Rr][Ee][Mm][Ee][Nn][Tt]*.txt"),
)
_ANYWHERE = ("*.txt", "*.in", "[!.]*/*.txt", "[!.]*/[!.]*/*.txt")
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
    .txt file that was made of them, nor files that another one includes. Of several the only one for training counts.

    Raises:
        DependencyError: There are several; it names them.
    """
    names = [name for name in candidates(root) if not _FOR_WORK.search(name.removesuffix(".txt").removesuffix(".in"))]
    if "requirements.in" in names:
        names = ["requirements.in"]
    names = [name for name in names if not name.endswith(".in") or f"{name[:-3]}.txt" not in names]
    included = {other for name in names for other in _included(root, name)}
    names = [name for name in names if name not in included]
    if len(training := [name for name in names if "train" in name]) == 1:
        names = training
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


def beside(root: Path, script: str) -> Requirements | None:
    """Reads the requirements.txt in the script's folder, or the nearest one above it; None if there is none.

    A monorepo or a collection of examples has one for each of its programs.
    """
    folder = Path(script).parent
    for place in (folder, *folder.parents):
        name = (place / "requirements.txt").as_posix()
        if (root / name).is_file():
            return replace(read_file(root, root / name), method=name)
    return None


def listing(root: Path, packages: Sequence[str]) -> str | None:
    """A file that lists all the packages, whatever its name and folder; None if there is none.

    Such as one whose name is misspelt, or that lies in another program's folder.
    """
    wanted = set(map(canonicalize_name, packages))
    names = (path for pattern in _ANYWHERE for path in sorted(root.glob(pattern)))
    for path in names:
        name = path.relative_to(root).as_posix()
        if path.is_file() and re.search(r"req\w*|depend\w*|package|pip", path.name, re.IGNORECASE):
            try:
                found = {line.name for line in read_file(root, path).lines}
            except DependencyError:  # a text, not a list
                continue
            if wanted <= found:
                return name
    return None


def _included(root: Path, name: str) -> set[str]:
    """The files that a requirements file includes, relative to the project."""
    targets = re.findall(r"^(?:-r|--requirement)[ =]*(\S+)", decoded(root / name, name), re.MULTILINE)
    paths = ((root / name).parent.joinpath(target.replace("\\", "/")).resolve() for target in targets)
    return {path.relative_to(root).as_posix() for path in paths if path.is_relative_to(root)}
