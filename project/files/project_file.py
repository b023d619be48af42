"""One file of a project: path, size, mode, and what tells that it changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

Signature = tuple[int, int, int, int]
"""mtime_ns, ctime_ns, inode, size: while they stay, so does the content."""


class ProjectFile(NamedTuple):
    """One file that goes into the image; a tuple, for a project may have thousands.

    Attributes:
        path: Relative to the project, with `/`, valid UTF-8.
        location: Where its bytes lie.
        size: Bytes.
        executable: Whether its owner may execute it.
        signature: As seen when it was listed; None when it was not listed from a disk.
    """

    path: str
    location: str | Path
    size: int
    executable: bool
    signature: Signature | None = None

    @property
    def source(self) -> Path:
        """Where its bytes lie."""
        return Path(self.location)


_EXECUTABLE = stat.S_IXUSR


_new = tuple.__new__  # what NamedTuple writes takes twice as long


def project_file(path: str, location: str, status: os.stat_result) -> ProjectFile:
    """The file at `location`, as stat tells it."""
    size = status.st_size
    signature = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, size)
    return _new(ProjectFile, (path, location, size, status.st_mode & _EXECUTABLE != 0, signature))
