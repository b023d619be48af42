"""Which of a project's paths stay out of the image: by settings, .dockerignore, .gitignore files and defaults.

Only the .gitignore files inside the project count, and not a user's `core.excludesFile`, so that a project gives the
same list on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import Path

from ...core.dockerignore import DockerIgnore
from ...core.errors import ProjectError
from ...core.gitignore import GitIgnore, lines_of
from ..settings.settings import Settings
from .name_filter import NameFilter

VCS = frozenset({".git", ".hg", ".svn", ".bzr", ".jj"})
"""Version control's own folders (in a worktree or submodule `.git` is a file): never part of an image, whatever the
settings say."""

PLACEHOLDERS = frozenset({".gitkeep", ".gitignore"})
"""Files that keep an otherwise empty folder in git; git has no empty folders."""

_TOOL_FILES = frozenset(
    {
        *(".gitattributes", ".gitmodules", ".github", *PLACEHOLDERS),
        *(".dockerignore", ".gcloudignore"),
        *("__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"),
        *(".tox", ".nox", ".eggs", ".venv", ".direnv", "node_modules", ".terraform", ".dvc"),
        *(".idea", ".vscode", ".DS_Store", "Thumbs.db", ".coverage"),
        *(".env", ".envrc"),
    }
)
"""Files of tools, and local secrets: they stay out of a folder that the settings include, unless they are named."""
_DATA = frozenset({".cache", "wandb", "mlruns", "lightning_logs"})
"""Downloads and results of earlier runs: part of a folder that the settings include."""
_NAMES = _TOOL_FILES | _DATA
_SUFFIXES = (".pyc", ".pyo", ".swp", "~", ".egg-info")
_VIRTUALENV_MARKS = ("pyvenv.cfg", "conda-meta")


def is_virtualenv(names: Iterable[str]) -> bool:
    """Whether a folder that holds these names is a virtual or conda environment."""
    return any(mark in names for mark in _VIRTUALENV_MARKS)


def is_left_out_always(path: str) -> bool:
    """Whether a part of `path` has a name that the default rules leave out: caches, tools' files, version control."""
    return any(part in _NAMES or part in VCS or part.endswith(_SUFFIXES) for part in path.rstrip("/").split("/"))


class ProjectRules:
    """The rules that are the same in every folder: those of the settings and of .dockerignore.

    Raises:
        ProjectError: .dockerignore can't be read, or Docker rejects one of its patterns.
    """

    def __init__(self, settings: Settings) -> None:
        self.include = GitIgnore(settings.include)
        self.exclude = GitIgnore(settings.exclude)
        self.docker = _docker_rules(settings.root / ".dockerignore")

    def includes(self, path: str) -> bool:
        """Whether the settings include `path` itself, or else the nearest folder above it that `include` matches."""
        return bool(self.include.patterns) and self.include.covers(path)

    def may_include_in(self, folder: str) -> bool:
        """Whether the settings can include something in `folder`, ending in "/", although it is ignored itself.

        A pattern without a folder, such as `meta.txt`, matches in every folder, apart from those of tools.
        """
        parts = folder.rstrip("/").split("/")
        for pattern in self.include.patterns:
            prefix = pattern.literal_folders
            if prefix[: len(parts)] == parts[: len(prefix)] and (prefix or _TOOL_FILES.isdisjoint(parts)):
                return True
        return False


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
    """The rules that hold in one folder: those of the settings and of the .gitignore files in it and above it."""

    __slots__ = ("_files", "_filter", "_project")

    def __init__(self, project: ProjectRules, files: tuple[tuple[int, GitIgnore], ...] = ()) -> None:
        self._project = project
        self._files = files
        # `include` is not part of the filter: it decides only on paths that another rule ignores.
        self._filter = NameFilter(_NAMES | VCS, _SUFFIXES, ((0, project.exclude), *files))

    def entering(self, folder: str, gitignore: Path) -> IgnoreRules:
        """The rules inside `folder` ("" for the project, else ending in "/"), which has this .gitignore.

        Raises:
            ProjectError: It can't be read.
        """
        try:
            text = gitignore.read_bytes().decode("utf-8", "surrogateescape")
        except IsADirectoryError:
            text = ""
        except OSError as error:
            raise ProjectError(
                f"can't read {folder}.gitignore: {error.strerror}", where=gitignore, next_step="Make it readable"
            ) from error
        return IgnoreRules(self._project, ((len(folder), GitIgnore(lines_of(text))), *self._files))

    def possibly_ignored(self, folder: str, names: Set[str]) -> Set[str]:
        """Those of the names in `folder` ("" or ending in "/") that a rule may match: no rule matches the others."""
        found, docker = self._filter.possible(folder, names), self._project.docker
        if docker is None or not docker.may_ignore_in(folder.rstrip("/")):
            return found
        return found | {name for name in names if docker.ignores(folder + name)}

    def included(self, path: str) -> bool:
        """Whether the settings include `path` itself, whatever the other rules say; a folder ends in "/"."""
        return self._project.include.decide(path) is True

    def ignored(self, path: str, name: str) -> bool:
        """Whether `path`, whose last part is `name`, stays out; a folder ends in "/".

        In a folder that the settings include only `exclude` and the files of tools are left out.
        """
        if self.included(path):
            return False
        decision = self._decide(path)
        if decision is not False and self._project.includes(path):
            return self._project.exclude.decide(path) is True or name in _TOOL_FILES or name.endswith(_SUFFIXES)
        return (name in _NAMES or name.endswith(_SUFFIXES)) if decision is None else decision

    def keeps_folder(self, path: str, name: str) -> bool:
        """Whether the file `path` asks for its folder even if that is empty: a placeholder that no rule leaves out."""
        return name in PLACEHOLDERS and not self._decide(path) and not self.docker_ignores(path)

    def _decide(self, path: str) -> bool | None:
        """What `exclude` and the .gitignore files say of `path`; None if they say nothing."""
        for offset, file in ((0, self._project.exclude), *self._files):
            if (decision := file.decide(path[offset:])) is not None:
                return decision
        return None

    def docker_ignores(self, path: str) -> bool:
        """Whether .dockerignore ignores `path` and the settings don't include it; a folder ends in "/".

        Unlike `ignored`, it may ignore a folder and not everything in it.
        """
        docker = self._project.docker
        return docker is not None and docker.ignores(path.rstrip("/")) and not self._project.includes(path)

    def docker_may_keep_below(self, folder: str) -> bool:
        """Whether .dockerignore has an exception for something in `folder`, ending in "/"."""
        docker = self._project.docker
        return docker is not None and docker.may_keep_below(folder.rstrip("/"))

    def may_include_in(self, folder: str) -> bool:
        """Whether an ignored `folder` (ending in "/") can hold something that the settings include."""
        return self._project.may_include_in(folder)
