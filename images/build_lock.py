"""A lock for each image content: of concurrent runs on one machine, one builds the image and the others wait."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from ..core.errors import storage_errors
from ..core.home import Home


@contextmanager
def build_lock(fingerprint: str, home: Home, waiting: Callable[[str], None] = lambda _: None) -> Iterator[bool]:
    """Holds this machine's lock for an image; yields whether it had to wait for another run.

    The kernel releases the lock when its process ends in any way, so no stale lock is left.

    Args:
        fingerprint: The image's content fingerprint.
        home: The home folder, which has the lock's file.
        waiting: Called with a message before waiting.
    """
    path = home.cache / "building" / f"{fingerprint[:32]}.lock"
    with storage_errors(path):
        path.parent.mkdir(exist_ok=True)
        file = path.open("a+")
    with file:
        waited = not _try_lock(file)
        if waited:
            waiting(f"waiting for {path.read_text(errors='replace') or 'another run'}, which builds the same image")
            fcntl.flock(file, fcntl.LOCK_EX)
        _write_owner(file)
        yield waited


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_owner(file: IO[str]) -> None:
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
