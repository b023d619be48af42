"""Lists the files of a project that go into the image."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from ...core.errors import ProjectError
from ..settings.settings import Settings
from .ignore import VCS, IgnoreRules, ProjectRules, is_virtualenv
from .large_data import LeftOut, without_large_data
from .project_file import ProjectFile, project_file
from .size_report import LARGEST_SHOWN, megabytes


class Listing(NamedTuple):
    """A project's files.

    Attributes:
        files: What goes into the image, sorted by path.
        left_out: Large data that does not.
    """

    files: tuple[ProjectFile, ...]
    left_out: tuple[LeftOut, ...]


def list_files(root: Path, settings: Settings) -> tuple[ProjectFile, ...]:
    """The files that `scan` finds."""
    return scan(root, settings).files


def scan(root: Path, settings: Settings) -> Listing:
    """Walks through the project's folder and lists what goes into the image.

    A link counts as the file or folder that it points to, which must be inside the project. Large data sets and
    checkpoints are left out unless `include` names them. A folder that would be empty and has a placeholder, such as
    .gitkeep, is kept by listing the placeholder.

    Raises:
        ProjectError: A link points out of the project, is broken or circular; a name is not UTF-8; there is a
            socket, pipe or device; a folder can't be read; all files together are larger than `size_limit_mb`; the
            ignore rules exclude the script; Docker rejects the .dockerignore file.
    """
    walk = _Walk(os.path.realpath(root), frozenset(each.path for each in settings.data if each.path))
    rules = ProjectRules(settings)
    walk.folder(walk.root, "", IgnoreRules(rules), ignored=False)
    _require_utf8(walk.files, walk.root)
    files, left_out = without_large_data(sorted(walk.files, key=itemgetter(0)), rules.includes)
    files = _with_empty_folders(files, walk.placeholders)
    _require_script(files, settings)
    _refuse_size(files, settings)
    return Listing(tuple(files), tuple(left_out))


class _Walk:
    """One walk through a project. Paths are strings: a `Path` for every entry would double its time."""

    def __init__(self, root: str, data: frozenset[str] = frozenset()) -> None:
        self.root = root
        self._data = data
        self.files: list[ProjectFile] = []
        self.placeholders: list[ProjectFile] = []
        self._stack: list[str] = []

    def folder(self, real: str, prefix: str, rules: IgnoreRules, *, ignored: bool) -> None:
        """Lists one folder.

        Args:
            real: Where the folder is.
            prefix: Its path in the project, "" or ending in "/".
            rules: The rules of the folder above.
            ignored: Whether the folder is ignored, so that only what the settings include is listed.
        """
        entries = self._entries(real, prefix)
        names = {entry.name for entry in entries}
        if prefix and is_virtualenv(names):
            return
        if ".gitignore" in names:
            rules = rules.entering(prefix, Path(real, ".gitignore"))
        possible = names if ignored else rules.possibly_ignored(prefix, names)
        if self._data:
            # Before links are followed: data often lies on another disk, with a link to it.
            entries = [entry for entry in entries if prefix + entry.name not in self._data]
        self._stack.append(real)
        add = self.files.append
        for entry in entries:
            name = entry.name
            if name not in possible and entry.is_file(follow_symlinks=False):
                add(project_file(prefix + name, entry.path, entry.stat(follow_symlinks=False)))
            elif name not in VCS:
                self._entry(entry, prefix + name, rules, ignored=ignored)
        self._stack.pop()

    def _entry(self, entry: os.DirEntry[str], path: str, rules: IgnoreRules, *, ignored: bool) -> None:
        """Lists one entry of a folder if the rules don't ignore it."""
        is_link = entry.is_symlink()
        is_folder = entry.is_dir(follow_symlinks=False) or (is_link and _leads_to_folder(entry))
        key = path + "/" if is_folder else path
        skip = rules.ignored(key, entry.name) if not ignored else not rules.included(key)
        if not skip and rules.docker_ignores(key):
            skip = not (is_folder and rules.docker_may_keep_below(key))
        if skip and not (is_folder and rules.may_include_in(key)):
            if not is_folder and not ignored and rules.keeps_folder(path, entry.name) and not is_link:
                self.placeholders.append(project_file(path, entry.path, entry.stat()))
            return
        if is_link:
            self._link(entry, path, rules, ignored=skip, is_folder=is_folder)
        elif is_folder:
            self.folder(entry.path, key, rules, ignored=skip)
        else:
            self._file(entry.path, path, entry.stat(follow_symlinks=False))

    def _entries(self, real: str, prefix: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(real) as entries:
                return list(entries)
        except OSError as error:
            raise ProjectError(
                f"can't read the folder {prefix or '.'}: {error.strerror}",
                where=self.root,
                next_step="Make it readable, or add it to exclude under [tool.vertex-training]",
            ) from error

    def _link(self, entry: os.DirEntry[str], path: str, rules: IgnoreRules, *, ignored: bool, is_folder: bool) -> None:
        """Lists what a link points to, under the link's path."""
        target = os.path.realpath(entry.path)
        if not os.path.exists(target):  # noqa: PTH110 - the walk stays on strings
            raise self._link_error(path, f"points to {_shown(os.readlink(entry.path))}, which does not exist")  # noqa: PTH115
        if target != self.root and not target.startswith(self.root + os.sep):
            raise self._link_error(path, f"points outside the project, to {_shown(target)}")
        if not is_folder:
            self._file(target, path, entry.stat())
        elif target in self._stack:
            raise self._link_error(path, "leads back to a folder above it")
        else:
            self.folder(target, path + "/", rules, ignored=ignored)

    def _file(self, location: str, path: str, status: os.stat_result) -> None:
        mode = status.st_mode
        if not stat.S_ISREG(mode):
            kind = next(word for test, word in _KINDS if test(mode))
            raise ProjectError(
                f"{path} is a {kind}, which can't be in an image",
                where=self.root,
                next_step="Delete it, or add it to exclude under [tool.vertex-training]",
            )
        self.files.append(project_file(path, location, status))

    def _link_error(self, path: str, problem: str) -> ProjectError:
        return ProjectError(
            f"the link {path} {problem}",
            where=self.root,
            next_step="Replace it by what it points to, or add it to exclude under [tool.vertex-training]",
        )


def _with_empty_folders(files: Sequence[ProjectFile], placeholders: Sequence[ProjectFile]) -> Sequence[ProjectFile]:
    """The files and the placeholders of those folders that would be missing without them; sorted by path."""
    wanted = [file for file in placeholders if "/" in file.path]
    if not wanted:
        return files
    folders = {parent for file in files for parent in _parents(file.path)}
    missing = {folder: file for file in wanted if (folder := file.path.rpartition("/")[0]) not in folders}
    return sorted([*files, *missing.values()], key=itemgetter(0)) if missing else files


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


_KINDS = (
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISCHR, "device"),
    (lambda _mode: True, "special file"),
)


def _shown(path: str) -> str:
    r"""A path for a message: bytes that are not UTF-8 and control characters are written as `\xe9`."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _require_utf8(files: Sequence[ProjectFile], root: str) -> None:
    for path in [file.path for file in files if not file.path.isascii()]:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise ProjectError(
                f"a file name is not UTF-8: {_shown(path)}", where=root, next_step="Rename or delete it"
            ) from None


def _require_script(files: Sequence[ProjectFile], settings: Settings) -> None:
    if settings.script and settings.script not in [file.path for file in files]:
        raise ProjectError(
            f"the project's ignore rules leave out the script {settings.script}",
            where=settings.root,
            next_step=f'Add include = ["/{settings.script}"] under [tool.vertex-training] in pyproject.toml',
        )


def _refuse_size(files: Sequence[ProjectFile], settings: Settings) -> None:
    total = sum([file.size for file in files])
    if total <= settings.size_limit_mb * 1e6:
        return
    largest = sorted(files, key=lambda file: (-file.size, file.path))[:LARGEST_SHOWN]
    first = largest[0]
    raise ProjectError(
        f"the project's {len(files)} files are {total / 1e6:,.0f} MB, over the limit of"
        f" {settings.size_limit_mb:g} MB; the largest is {first.path} with {first.size / 1e6:,.0f} MB",
        where=settings.root,
        next_step="Add data to exclude under [tool.vertex-training],"
        f" or raise the limit: size-limit-mb there, or --size-limit-mb {math.ceil(total / 1e6)}",
        detail="\n".join(f"{megabytes(file.size):>13}  {file.path}" for file in largest),
    )
