"""The digest cache: a content fingerprint is a tag beside the image, so any machine finds what another one built."""

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
    """One process of this machine at a time is in here for one fingerprint; others wait.

    Yields whether it had to wait, that is whether another run may have made the image meanwhile. The lock is the
    kernel's own and ends with its process, however that ended: nothing stale is left.

    Args:
        fingerprint: Of the image.
        home: Where the lock lies.
        waiting: Told once, before a wait, for whom it is.
    """
    path = home.cache / "building" / f"{fingerprint[:32]}.lock"
    with storage_errors(path):
        path.parent.mkdir(exist_ok=True)
        file = path.open("a+")
    with file:
        waited = not _try_lock(file)
        if waited:
            waiting(f"waiting for {path.read_text() or 'another run'}, which makes the same image")
            fcntl.flock(file, fcntl.LOCK_EX)
        _sign(file)
        yield waited


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(file: IO[str]) -> None:
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
