"""Measures the peak memory of a running program and its child processes."""

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
"""Seconds between two samples of the program itself."""
_CHILDREN_EVERY = 1.0
"""Seconds between two samples of the program with its children, which take longer."""


class PeakMemory:
    """Peak memory of all processes in a program's session.

    `ru_maxrss` of a child process is not enough: Linux starts it at the parent's memory at the moment of exec.

    Args:
        leader: Process id of the program, which must be the leader of a session.
        clock: Seconds, monotonic.
    """

    def __init__(self, leader: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._leader = leader
        self._clock = clock
        self._peak = 0
        self._next = self._next_children = 0.0
        self._before = _largest_child()

    def sample(self) -> None:
        """Takes a sample if one is due; call it repeatedly while the program runs."""
        now = self._clock()
        if now < self._next or not _PROC.is_dir():
            return
        self._next = now + _EVERY
        self._peak = max(self._peak, _field(_PROC / str(self._leader) / "status", "VmHWM"))
        if now >= self._next_children:
            self._next_children = now + _CHILDREN_EVERY
            members = list(_session(self._leader))
            if len(members) > 1:
                # Pss counts shared pages once: forked workers share most pages with their parent.
                self._peak = max(self._peak, sum(_field(_PROC / pid / "smaps_rollup", "Pss") for pid in members))

    def bytes(self) -> int | None:
        """The peak in bytes; call it after the program was waited for. None if nothing could be measured."""
        after = _largest_child()
        if after > self._before and after > _largest_self():  # the largest child so far, so its own value is exact
            self._peak = max(self._peak, after)
        return self._peak or None


def _session(leader: int) -> Iterator[str]:
    """Process ids in a session."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                # pid (name) state parent group session ...: the name may hold spaces and brackets.
                if (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[3] == str(leader):
                    yield entry.name


def _field(file: Path, name: str) -> int:
    """Bytes in a line such as "VmHWM:   10240 kB"; 0 if the process is gone or belongs to another user."""
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
"""Unit of `ru_maxrss`: kilobytes, on macOS bytes."""
