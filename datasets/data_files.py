"""The files of a data set on this machine: found, described, read.

- All files below the folder belong to it, whatever their names; `.git` and `.DS_Store` don't.
- A link stands for what it leads to, also outside of the folder, as it does for the script. A broken link, or one that
  leads back above itself, is an error. So are pipes, sockets and devices, and names that are not UTF-8.
- Empty folders are not kept: a bucket has none.
- A file that changes while it is read is an error, which names it.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.errors import DataError

_SKIPPED = {".git", ".DS_Store"}
_PIECE = 256 << 10


class DataFile(NamedTuple):
    """A file; `path` is relative to the data set, `location` where it lies, `changed` its mtime in nanoseconds."""

    path: str
    location: str
    size: int
    changed: int
    inode: int


def find_files(root: Path, include: Sequence[str], name: str) -> list[DataFile]:
    """The files of a data set, sorted by path; a data set that is one file has an empty path.

    Args:
        root: The folder or file.
        include: Patterns of files that belong to it; empty for all. One without a slash is for names at any depth.
        name: The data set's name, for messages.

    Raises:
        DataError: There is no such path, nothing in it, or something that can't be read.
    """
    try:
        status = root.stat()
    except OSError as error:
        raise DataError(
            f"the data set {name} can't be read: {(error.strerror or str(error)).lower()}",
            where=root,
            next_step=f"Fix {name} under [tool.vertex-training.data], or put the data there",
        ) from error
    if stat.S_ISREG(status.st_mode):
        return [DataFile("", str(root), status.st_size, status.st_mtime_ns, status.st_ino)]
    found = [file for file in _walk(os.fspath(root), "", []) if _matches(file.path, include)]
    if not found:
        what = f"no file of it matches {list(include)}" if include else "it is empty"
        raise DataError(f"the data set {name}: {what}", where=root, next_step="Put the data there, or fix the setting")
    found.sort()
    return found


def _walk(folder: str, prefix: str, above: list[str]) -> Iterator[DataFile]:
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
    except OSError as error:
        raise DataError(f"a folder of the data can't be read: {error.strerror}", where=folder) from error
    for entry in listed:
        if entry.name in _SKIPPED:
            continue
        path = prefix + entry.name
        _require_utf8(path, folder)
        is_link = entry.is_symlink()
        try:
            status = entry.stat(follow_symlinks=is_link)
        except OSError as error:
            if not is_link:
                continue  # deleted meanwhile
            raise DataError("a link of the data leads nowhere", where=entry.path, next_step="Remove it") from error
        if stat.S_ISREG(status.st_mode):
            yield DataFile(path, entry.path, status.st_size, status.st_mtime_ns, status.st_ino)
        elif stat.S_ISDIR(status.st_mode):
            real = os.path.realpath(entry.path) if is_link else entry.path
            if is_link and real in {os.path.realpath(each) for each in (*above, folder)}:
                raise DataError("a link of the data leads back above itself", where=entry.path, next_step="Remove it")
            yield from _walk(entry.path, f"{path}/", [*above, folder])
        else:
            raise DataError("the data holds a pipe, socket or device", where=entry.path, next_step="Remove it")


def _matches(path: str, include: Sequence[str]) -> bool:
    if not include:
        return True
    name = path.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(path if "/" in each else name, each.removeprefix("./")) for each in include)


def _require_utf8(path: str, folder: str) -> None:
    if path.isascii():
        return
    try:
        path.encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise DataError(
            f"a file name of the data is not UTF-8: {shown}", where=folder, next_step="Rename it"
        ) from error


def hash_file(file: DataFile) -> str:
    """The SHA-256 of a file's content, hexadecimal.

    Raises:
        DataError: It can't be read, or changed since it was found.
    """
    digest = hashlib.sha256()
    for piece in read_pieces(file):
        digest.update(piece)
    return digest.hexdigest()


def read_pieces(file: DataFile) -> Iterator[memoryview]:
    """A file's content in pieces, each of which is valid until the next one is read.

    Raises:
        DataError: It can't be read, or changed since it was found.
    """
    # One buffer for all pieces: the kernel would clear a new one for each, which costs as much as reading.
    buffer = memoryview(bytearray(min(_PIECE, file.size + 1)))
    try:
        with open(file.location, "rb", buffering=0) as opened:  # noqa: PTH123 - one of a hundred thousand
            while count := opened.readinto(buffer):
                yield buffer[:count]
            status = os.fstat(opened.fileno())
    except OSError as error:
        raise DataError(f"a file of the data can't be read: {error.strerror}", where=file.location) from error
    if (status.st_size, status.st_mtime_ns) != (file.size, file.changed):
        raise changed(file)


def changed(file: DataFile) -> DataError:
    """The error for a file that is written while it is read."""
    return DataError(
        "a file of the data changes while it is read",
        where=file.location,
        next_step="Wait until it is written, and run again",
    )
