"""One file of a project: path, size, mode, and the file status that shows when its content changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

Signature = tuple[int, int, int, int]
"""mtime_ns, ctime_ns, inode and size. While these four stay the same, the content counts as unchanged."""


class ProjectFile(NamedTuple):
    """One file that goes into the image; a tuple because a project may have thousands.

    Attributes:
        path: Relative to the project, with `/`, valid UTF-8.
        location: The file that holds the content; for a link the file that it points to.
        size: Bytes.
        executable: Whether its owner may execute it.
        signature: As it was when the file was listed; None for a file that was not listed from a disk.
    """

    path: str
    location: str | Path
    size: int
    executable: bool
    signature: Signature | None = None

    @property
    def source(self) -> Path:
        """The location as a path."""
        return Path(self.location)


_EXECUTABLE = stat.S_IXUSR


_new = tuple.__new__  # twice as fast as the `__new__` that NamedTuple generates


def project_file(path: str, location: str, status: os.stat_result) -> ProjectFile:
    """The file at `location`, described by its `stat` result."""
    size = status.st_size
    signature = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, size)
    return _new(ProjectFile, (path, location, size, status.st_mode & _EXECUTABLE != 0, signature))
