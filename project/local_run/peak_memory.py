"""How much memory a running program takes at its peak, its child processes included."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PROC = Path("/proc")
_EVERY = 0.05
"""Seconds between two looks at the program itself."""
_FAMILY_EVERY = 1.0
"""Seconds between two looks at it with its children, which cost more."""


class PeakMemory:
    """Watches the session that a program leads.

    A child's `ru_maxrss` is no measure by itself: Linux counts the parent's memory at the moment of exec into it.

    Args:
        leader: The program's process id, which is also its session's.
        clock: Seconds, monotonic.
    """

    def __init__(self, leader: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._leader = leader
        self._clock = clock
        self._peak = 0
        self._next = self._next_family = 0.0
        self._before = _largest_child()

    def look(self) -> None:
        """Takes a sample if it is time for one; to be called while the program runs."""
        now = self._clock()
        if now < self._next or not _PROC.is_dir():
            return
        self._next = now + _EVERY
        self._peak = max(self._peak, _field(_PROC / str(self._leader) / "status", "VmHWM"))
        if now >= self._next_family:
            self._next_family = now + _FAMILY_EVERY
            members = list(_session(self._leader))
            if len(members) > 1:
                # Shared pages count once: workers that were forked share most of their parent's.
                self._peak = max(self._peak, sum(_field(_PROC / pid / "smaps_rollup", "Pss") for pid in members))

    def bytes(self) -> int | None:
        """The peak, once the program was waited for; None if nothing could be measured."""
        after = _largest_child()
        if after > self._before and after > _largest_self():  # this child's own, exact to the page
            self._peak = max(self._peak, after)
        return self._peak or None


def _session(leader: int) -> Iterator[str]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                # pid (name) state parent group session ...: the name may hold spaces and brackets.
                if (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[3] == str(leader):
                    yield entry.name


def _field(file: Path, name: str) -> int:
    """Bytes that a line as "VmHWM:   10240 kB" tells; 0 for a process that is gone or another user's."""
    try:
        found = re.search(rf"^{name}:\s*(\d+) kB", file.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def _largest_child() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNIT


def _largest_self() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


_UNIT = 1 if sys.platform == "darwin" else 1024
"""getrusage counts in kilobytes, on macOS in bytes."""
