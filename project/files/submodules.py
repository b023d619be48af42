"""Git submodules of a project whose content was never fetched: their folders are empty, and imports from them fail."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ...core.errors import ProjectError
from ...core.security import safe_git
from ..settings.settings import Settings
from .ignore import IgnoreRules, ProjectRules

_FILE = ".gitmodules"
_PATH = re.compile(r'^\s*path\s*=\s*"?(.+?)"?\s*$', re.IGNORECASE | re.MULTILINE)
"""The line of a submodule's folder: https://git-scm.com/docs/gitmodules."""


def refuse_empty_submodules(root: Path, settings: Settings) -> None:
    """Stops the run if a submodule is missing that would be part of the image.

    Args:
        root: The project's folder; it may lie below the repository's.
        settings: The project's settings, whose rules can leave a submodule out.

    Raises:
        ProjectError: It names the first empty submodule and how to fetch it.
    """
    empty = [path for path in _empty(_repository(root), root) if not _left_out(path, root, settings)]
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise ProjectError(
            f"{empty[0]}{more} is a git submodule whose files were not fetched",
            where=root,
            next_step="Run: git submodule update --init --recursive",
            detail="\n".join(empty),
        )


def _repository(root: Path) -> Path:
    """The nearest folder with a .gitmodules file, from the project up to the repository's top; else the project."""
    for folder in (root, *root.parents):
        if (folder / _FILE).is_file():
            return folder
        if (folder / ".git").exists():
            break
    return root


def _empty(repository: Path, root: Path) -> Iterator[str]:
    """The empty submodules below `root`, relative to it; those inside other submodules too."""
    for path in _listed(repository):
        folder = repository / path
        if not _holds_files(folder):
            if folder.is_relative_to(root) and folder != root and _is_submodule(repository, path):
                yield folder.relative_to(root).as_posix()
        elif (folder / _FILE).is_file():
            yield from _empty(folder, root)


def _listed(repository: Path) -> list[str]:
    try:
        text = (repository / _FILE).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return _PATH.findall(text)


def _holds_files(folder: Path) -> bool:
    """Whether a folder has anything but the file `.git`, which leads to a submodule's repository."""
    try:
        return any(entry.name != ".git" for entry in folder.iterdir())
    except OSError:
        return False


def _is_submodule(repository: Path, path: str) -> bool:
    """Whether git's index has the submodule: a .gitmodules file may list one that was removed.

    A copy without `.git` has no index; its .gitmodules is believed.
    """
    try:
        done = safe_git.read(repository, "ls-files", "--stage", "--", path)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 0 or done.stdout.startswith("160000 ")


def _left_out(folder: str, root: Path, settings: Settings) -> bool:
    """Whether the ignore rules leave out `folder` or one above it."""
    rules, prefix = IgnoreRules(ProjectRules(settings)), ""
    for name in folder.split("/"):
        gitignore = root / prefix / ".gitignore"
        if gitignore.is_file():
            rules = rules.entering(prefix, gitignore)
        path = f"{prefix}{name}/"
        if rules.ignored(path, name) or rules.docker_ignores(path):
            return True
        prefix = path
    return False
