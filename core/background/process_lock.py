"""Locks between processes: one server for a folder, one starter at a time. The system frees them when a process ends.

`holding` and `is_held` use POSIX locks, which children don't inherit: what a server starts may outlive it. They tell
whether a server lives better than its process id, which another program may have by now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import storage_errors

_RETRY_SECONDS = 0.02


def is_held(path: Path) -> bool:
    """Whether another process is in the block of `holding` with that file."""
    import fcntl

    try:
        with path.open("r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@contextmanager
def holding(path: Path, give_up: Callable[[], Exception | None]) -> Iterator[None]:
    """Holds the lock for the length of the block; waits while another process has it.

    Args:
        path: The lock's file; it is created.
        give_up: Called between tries; returns the error to raise, or None to go on waiting.
    """
    import fcntl

    with path.open("a+") as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if (reason := give_up()) is not None:
                    raise reason from error
                time.sleep(_RETRY_SECONDS)
        yield


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Lets one process or thread at a time into the block.

    Raises:
        StorageError: The disk is full or read-only.
    """
    import fcntl

    with storage_errors(path.parent), path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
