"""Which of a project's paths stay out: by the settings, .dockerignore, .gitignore files, and defaults.

Only the .gitignore files inside the project count, so that a project gives the same list wherever it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import Path

from ...core.dockerignore import DockerIgnore
from ...core.errors import ProjectError
from ..settings.settings import Settings
from .gitignore import Patterns, literal_prefix

VCS = frozenset({".git", ".hg", ".svn", ".bzr", ".jj"})
"""Never part of an image, whatever the settings say."""

_NAMES = frozenset(
    {
        *(".gitignore", ".gitattributes", ".gitmodules", ".gitkeep", ".github"),
        *(".dockerignore", ".gcloudignore"),
        *("__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"),
        *(".cache", ".tox", ".nox", ".eggs", ".venv", ".direnv", "node_modules", ".terraform", ".dvc"),
        *(".idea", ".vscode", ".DS_Store", "Thumbs.db", ".coverage"),
        *(".env", ".envrc"),
        *("wandb", "mlruns", "lightning_logs"),
    }
)
_SUFFIXES = (".pyc", ".pyo", ".swp", "~", ".egg-info")
_VIRTUALENV_MARKS = ("pyvenv.cfg", "conda-meta")


def is_virtualenv(names: Iterable[str]) -> bool:
    """Whether a folder that holds these names is a virtual or conda environment."""
    return any(mark in names for mark in _VIRTUALENV_MARKS)


class ProjectRules:
    """The rules that are the same in every folder: those of the settings and of .dockerignore.

    Raises:
        ProjectError: .dockerignore can't be read, or holds what Docker refuses.
    """

    def __init__(self, settings: Settings) -> None:
        self.include = Patterns(settings.include)
        self.exclude = Patterns(settings.exclude)
        self.prefixes = [literal_prefix(pattern) for pattern in settings.include]
        self.docker = _docker_rules(settings.root / ".dockerignore")

    def includes(self, path: str) -> bool:
        """Whether the settings put in `path`, or a folder above it."""
        ends = (index + 1 for index, sign in enumerate(path) if sign == "/")
        return any(self.include.decide(part) for part in (path, *(path[:end] for end in ends)))


def _docker_rules(file: Path) -> DockerIgnore | None:
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as error:
        raise ProjectError(f"can't be read: {error.strerror}", where=file, next_step="Make it readable") from error
    try:
        return DockerIgnore(text.splitlines())
    except ValueError as error:
        raise ProjectError(f"not a pattern: {error}", where=file, next_step="Correct that line") from None


class IgnoreRules:
    """The rules that hold in one folder: those of the settings and of the .gitignore files above it."""

    __slots__ = ("_anchored", "_levels", "_names", "_project", "_suffixes")

    def __init__(self, project: ProjectRules, levels: tuple[tuple[int, Patterns], ...] = ()) -> None:
        self._project = project
        self._levels = levels
        # What the settings include is not among them: it decides only on what another rule leaves out.
        leaving_out = ((0, project.exclude), *levels)
        hints = [patterns.hints for _, patterns in leaving_out]
        self._anchored = [(at, prefix) for at, patterns in leaving_out for prefix in patterns.hints.anchored]
        self._names = _NAMES.union(*(hint.names for hint in hints))
        self._suffixes = (*_SUFFIXES, *(suffix for hint in hints for suffix in hint.suffixes))

    def entering(self, folder: str, gitignore: Path) -> IgnoreRules:
        """The rules inside `folder` ("" for the project, else ending in "/"), which has this .gitignore.

        Raises:
            ProjectError: It can't be read.
        """
        try:
            text = gitignore.read_text(encoding="utf-8", errors="surrogateescape")
        except IsADirectoryError:
            text = ""
        except OSError as error:
            raise ProjectError(
                f"can't read {folder}.gitignore: {error.strerror}", where=gitignore, next_step="Make it readable"
            ) from error
        patterns = Patterns(text.removeprefix("\ufeff").splitlines())
        return IgnoreRules(self._project, ((len(folder), patterns), *self._levels))

    def doubtful(self, folder: str, names: Set[str]) -> Set[str]:
        """Those of the names in `folder` ("" or ending in "/") that a rule may match: no rule matches the others."""
        for offset, prefix in self._anchored:
            if folder.startswith(prefix, offset) or prefix.startswith(folder[offset:]):
                return names
        docker, suffixes = self._project.docker, self._suffixes
        found = {name for name in names if name.endswith(suffixes)}
        found |= names & self._names
        if docker is None or not docker.may_ignore_in(folder.rstrip("/")):
            return found
        return found.union(name for name in names if docker.ignores(folder + name))

    def included(self, path: str) -> bool:
        """Whether the settings put `path` in whatever else says; a folder ends in "/"."""
        return self._project.include.decide(path) is True

    def ignored(self, path: str, name: str) -> bool:
        """Whether `path`, whose last part is `name`, stays out; a folder ends in "/"."""
        if self.included(path):
            return False
        for offset, patterns in ((0, self._project.exclude), *self._levels):
            if (decision := patterns.decide(path[offset:])) is not None:
                return decision
        return name in _NAMES or name.endswith(_SUFFIXES)

    def docker_ignores(self, path: str) -> bool:
        """Whether .dockerignore leaves `path` out, and the settings don't put it in; a folder ends in "/".

        Other than `ignored`, it may leave a folder out and not all that is in it.
        """
        docker = self._project.docker
        return docker is not None and docker.ignores(path.rstrip("/")) and not self._project.includes(path)

    def docker_may_keep_below(self, folder: str) -> bool:
        """Whether .dockerignore has an exception for something in `folder`, ending in "/"."""
        docker = self._project.docker
        return docker is not None and docker.may_keep_below(folder.rstrip("/"))

    def may_hold_included(self, folder: str) -> bool:
        """Whether an ignored `folder` (ending in "/") can hold something that the settings include."""
        parts = folder.rstrip("/").split("/")
        return any(prefix and prefix[: len(parts)] == parts[: len(prefix)] for prefix in self._project.prefixes)
