"""Where an object lies: a plain file in its bucket's folder, or, if its name is no path, an entry beside the buckets.

Names such as `a//b`, `a/../b`, a part of over 255 bytes, or `p/q` beside an object `p` can't be paths, nor can the
marker of a folder, an object `folder/`. They are kept under the hash of their name, where `/gcs` doesn't show them, as
gcsfuse doesn't show them either.

Jobs may write anything into a bucket's folder, so no link is followed there: each folder on the way is opened by
itself.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_A_FOLDER = {errno.ENOTDIR, errno.ELOOP}


def path_parts(name: str) -> list[str] | None:
    """The parts of an object's name as a path; None if it can't be one."""
    parts = name.split("/")
    for part in parts:
        if part in {"", ".", ".."} or "\0" in part or len(part.encode("utf-8", "surrogateescape")) > 255:
            return None
    return parts


def entry_name(name: str) -> str:
    """The file name of an object that has no path."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


@contextmanager
def opened_folder(root: str, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """The descriptor of a folder below `root`, reached through no link.

    Args:
        root: A folder that nobody replaces.
        parts: The names of the folders on the way.
        create: Make those that are missing, for all users: a job may run as another one.

    Raises:
        FileNotFoundError: There is no such folder.
        NotADirectoryError: A part of the path is something else, or a link.
    """
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            below = _open_below(handle, part, create=create)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def _open_below(folder: int, part: str, *, create: bool) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    except OSError as error:
        if error.errno in _NOT_A_FOLDER:
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", part) from error
        raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, 0o777, dir_fd=folder)
    return _open_below(folder, part, create=False)


def remove_empty_folder(folder: int, name: str) -> bool:
    """Removes a folder that holds no file at any depth; False if it holds one. Cloud Storage has no empty folders."""
    try:
        below = os.open(name, _FOLDER, dir_fd=folder)
    except OSError:
        return False
    try:
        with os.scandir(below) as entries:
            names = [entry.name for entry in entries]
        if not all(remove_empty_folder(below, each) for each in names):
            return False
    finally:
        os.close(below)
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=folder)
        return True
    return False
