"""Folders that only their owner can enter, whatever the umask and whatever was there before."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import StorageError


def make_private(folder: Path) -> None:
    """Makes a folder with mode 0700, or changes an existing one to it.

    Raises:
        StorageError: It belongs to another user, who could replace what is in it.
        OSError: It can't be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise StorageError(
            "the folder belongs to another user, who could change what is kept there",
            where=folder,
            next_step="Set VERTEX_TRAINING_HOME to a folder of your own",
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)
