"""A project's files: which go into the image."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import ProjectError
from .ignore import VCS, IgnoreRules, is_virtualenv
from .secret_files import refuse_secrets
from .settings import Settings

_LARGEST_SHOWN = 10

Signature = tuple[int, int, int, int]
"""mtime_ns, ctime_ns, inode, size: while they stay, so does the content."""


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """One file that goes into the image.

    Attributes:
        path: Relative to the project, with `/`, valid UTF-8.
        source: Where its bytes lie.
        size: Bytes.
        executable: Whether its owner may execute it.
        signature: As seen when it was listed; None when it was not listed from a disk.
    """

    path: str
    source: Path
    size: int
    executable: bool
    signature: Signature | None = field(default=None, compare=False, repr=False)


def list_files(root: Path, settings: Settings) -> tuple[ProjectFile, ...]:
    """Lists what goes into the image, sorted by path.

    Links are followed as what they point at, inside the project only.

    Raises:
        ProjectError: A link that leads out of the project, to nothing or in a circle; a name that is not
            UTF-8; a socket, pipe or device; a folder that can't be read; more bytes than `size_limit_mb`;
            what looks like a secret; a script that the ignore rules leave out.
    """
    scan = _Scan(os.path.realpath(root))
    scan.folder(scan.root, "", IgnoreRules(settings), ignored=False)
    files = tuple(sorted(scan.files, key=_path))
    _require_script(files, settings)
    _refuse_size(files, settings)
    refuse_secrets(files, settings)
    return files


def _path(file: ProjectFile) -> str:
    return file.path


class _Scan:
    """One walk over a project. Paths are strings here: a `Path` for every entry would double its time."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: list[ProjectFile] = []
        self._stack: list[str] = []

    def folder(self, real: str, prefix: str, rules: IgnoreRules, *, ignored: bool) -> None:
        """Lists the folder at `real`, known as `prefix`; in an ignored one only what the settings include."""
        try:
            with os.scandir(real) as entries:
                found = {entry.name: entry for entry in entries}
        except OSError as error:
            raise ProjectError(
                f"can't read the folder {prefix or '.'}: {error.strerror}",
                where=self.root,
                next_step="Make it readable, or add it to exclude under [tool.vertex-training]",
            ) from error
        if prefix and is_virtualenv(found):
            return
        if ".gitignore" in found:
            rules = rules.entering(prefix, Path(real, ".gitignore"))
        self._stack.append(real)
        here = Path(real)
        for name, entry in found.items():
            if name not in VCS:
                self._entry(entry, prefix + name, here, rules, ignored=ignored)
        self._stack.pop()

    def _entry(self, entry: os.DirEntry[str], path: str, here: Path, rules: IgnoreRules, *, ignored: bool) -> None:
        is_folder = _is_folder(entry)
        key = path + "/" if is_folder else path
        skip = not rules.included(key) if ignored else rules.ignored(key, entry.name)
        if skip and not (is_folder and rules.may_hold_included(key)):
            return
        self._require_utf8(path)
        real = self._target(entry, path) if entry.is_symlink() else entry.path
        if is_folder:
            if real in self._stack:
                raise self._link_error(path, "leads back to a folder around it")
            self.folder(real, key, rules, ignored=skip)
        else:
            self._file(Path(real) if entry.is_symlink() else here / entry.name, path, entry.stat())

    def _file(self, source: Path, path: str, status: os.stat_result) -> None:
        mode = status.st_mode
        if not stat.S_ISREG(mode):
            kind = next(word for test, word in _KINDS if test(mode))
            raise ProjectError(
                f"{path} is a {kind}, which can't go into an image",
                where=self.root,
                next_step="Delete it, or add it to exclude under [tool.vertex-training]",
            )
        signature = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
        self.files.append(ProjectFile(path, source, status.st_size, bool(mode & stat.S_IXUSR), signature))

    def _target(self, entry: os.DirEntry[str], path: str) -> str:
        target = os.path.realpath(entry.path)
        if not os.path.exists(entry.path):  # noqa: PTH110 - the hot path stays on strings
            raise self._link_error(path, f"points at {_shown(os.readlink(entry.path))}, which does not exist")  # noqa: PTH115
        if target != self.root and not target.startswith(self.root + os.sep):
            raise self._link_error(path, f"points outside the project, at {_shown(target)}")
        return target

    def _link_error(self, path: str, problem: str) -> ProjectError:
        return ProjectError(
            f"the link {path} {problem}",
            where=self.root,
            next_step="Put the real thing there, or add it to exclude under [tool.vertex-training]",
        )

    def _require_utf8(self, path: str) -> None:
        if path.isascii():
            return
        try:
            path.encode()
        except UnicodeEncodeError:
            raise ProjectError(
                f"a file name is not UTF-8: {_shown(path)}", where=self.root, next_step="Rename or delete it"
            ) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


_KINDS = (
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISCHR, "device"),
    (lambda _mode: True, "special file"),
)


def _shown(path: str) -> str:
    r"""A path for a message: bytes that are not UTF-8, and control characters, as `\xe9`."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _require_script(files: Sequence[ProjectFile], settings: Settings) -> None:
    if not any(file.path == settings.script for file in files):
        raise ProjectError(
            f"the script {settings.script} is left out by the project's ignore rules",
            where=settings.root,
            next_step=f'Add include = ["/{settings.script}"] under [tool.vertex-training] in pyproject.toml',
        )


def _refuse_size(files: Sequence[ProjectFile], settings: Settings) -> None:
    total = sum(file.size for file in files)
    if total <= settings.size_limit_mb * 1e6:
        return
    largest = sorted(files, key=lambda file: (-file.size, file.path))[:_LARGEST_SHOWN]
    first = largest[0]
    raise ProjectError(
        f"the project's {len(files)} files are {total / 1e6:,.0f} MB, over the limit of"
        f" {settings.size_limit_mb:g} MB; the largest is {first.path} with {first.size / 1e6:,.0f} MB",
        where=settings.root,
        next_step="Add data to exclude under [tool.vertex-training], or raise size-limit-mb there",
        detail="\n".join(f"{file.size / 1e6:10,.1f} MB  {file.path}" for file in largest),
    )
