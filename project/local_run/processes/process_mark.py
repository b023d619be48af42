"""Finds the processes that a program left behind, by a variable in their environment.

A process with a session of its own leaves the program's process group, and one whose parent has ended leaves its
process tree, so neither leads to it. Linux could make this process the new parent of such orphans
(`PR_SET_CHILD_SUBREAPER`), but that holds for everything that this process runs, and it would have to wait for them
all. The environment is inherited through forks and sessions, and `/proc` shows it to the same user. A process that was
started with an empty environment is not found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_NAME = "VERTEX_TRAINING_LOCAL_RUN"
_PROC = Path("/proc")
_LIMIT = 5.0
"""Seconds in which killed processes have to be gone; one that waits for a disk may take longer."""
_PAUSE = 0.01


class ProcessMark:
    """A variable with a value of its own, which marks a program's processes.

    Attributes:
        variables: To be added to the program's environment.
    """

    def __init__(self) -> None:
        self.variables = {_NAME: uuid.uuid4().hex}
        self._text = f"{_NAME}={self.variables[_NAME]}".encode()

    def kill_processes(self) -> None:
        """Kills the marked processes and those that they start meanwhile; does nothing without `/proc`, as on macOS."""
        deadline = time.monotonic() + _LIMIT
        while (found := list(self._processes())) and time.monotonic() < deadline:
            for process in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(_PAUSE)

    def _processes(self) -> Iterator[int]:
        """Ids of the marked processes; the environment of one that has ended reads as empty."""
        for folder in _PROC.iterdir() if _PROC.is_dir() else ():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
                    if self._text in (folder / "environ").read_bytes().split(b"\0"):
                        yield int(folder.name)
