"""Runs one program until it ends, exceeds its time limit or is interrupted, and stops all its processes."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....core.security.masked_text import masked
from .peak_memory import PeakMemory
from .process_mark import ProcessMark

_GRACE = 5.0
"""Seconds between TERM and KILL."""
_KEPT = 200
_LONGEST = 1 << 16
"""Bytes after which a line without an end is cut: a progress bar may never end its line."""
_POLL = 0.1
"""Seconds between checks whether the program ended while a child process keeps its output open."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        code: Exit code; a negative number is the signal that ended it; None if it exceeded its time limit.
        seconds: Running time.
        tail: Its last lines of output, oldest first.
        peak_memory: Peak memory with its child processes, in bytes; None if it can't be measured.
    """

    code: int | None
    seconds: float
    tail: tuple[str, ...]
    peak_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """When a program gets SIGTERM, as a job's program does when its machine is taken back.

    Attributes:
        when: Asked again and again until it says so.
        grace: Seconds until SIGKILL.
        tell: Called when SIGTERM was sent.
    """

    when: Callable[[], bool]
    grace: float
    tell: Callable[[], None]


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    log: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    reminder: tuple[float, Callable[[], None]] | None = None,
    stop: Stop | None = None,
) -> Ended:
    """Runs `command` in its own session and passes each line of its output to `log`, in the calling thread.

    When this returns or raises, for whatever reason, the program has ended, and so have all processes that it started.

    Args:
        command: The program and its arguments.
        cwd: Its working directory.
        env: Its whole environment.
        timeout: Time limit, in seconds.
        log: Called with each line of stdout and stderr, without the line break.
        clock: Seconds, monotonic.
        reminder: A number of seconds, and what to call once when the program still runs after them.
        stop: When the program is asked to end.
    """
    begin = clock()
    lines = _Lines(log)
    mark = ProcessMark()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**env, **mark.variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    memory = PeakMemory(process.pid)
    try:
        watched = _reminding(clock, begin, reminder)
        code = _follow(process, lines, memory, begin + timeout, _stopping(process, watched, stop) if stop else watched)
        lines.end()
    finally:
        _end_group(process)
        mark.kill_processes()
    return Ended(code, clock() - begin, tuple(lines.tail), memory.bytes())


def _reminding(
    clock: Callable[[], float], begin: float, reminder: tuple[float, Callable[[], None]] | None
) -> Callable[[], float]:
    """A clock that calls the reminder once, when it is read after the reminder's time."""
    waiting = [reminder] if reminder else []

    def read() -> float:
        now = clock()
        if waiting and now - begin >= waiting[0][0]:
            waiting.pop()[1]()
        return now

    return read


def _stopping(process: subprocess.Popen[bytes], clock: Callable[[], float], stop: Stop) -> Callable[[], float]:
    """A clock that also asks whether the program is to be stopped, and stops it."""
    sent: list[float] = []

    def read() -> float:
        now = clock()
        if not sent and process.poll() is None and stop.when():
            sent.append(now)
            process.terminate()
            stop.tell()
        elif sent and now - sent[0] > stop.grace:
            process.kill()
        return now

    return read


def _follow(
    process: subprocess.Popen[bytes], lines: _Lines, memory: PeakMemory, deadline: float, clock: Callable[[], float]
) -> int | None:
    """Reads the output until the program ends, and returns its exit code; None at the deadline."""
    assert process.stdout is not None
    output = process.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while (left := deadline - clock()) > 0:
            memory.sample()
            if selector.select(min(left, _POLL)):
                data = os.read(output, _LONGEST)
                if not data:
                    return _wait(process, deadline - clock())
                lines.feed(data)
            elif (code := process.poll()) is not None:  # it ended, and a child process may keep the pipe open
                while clock() < deadline and selector.select(0) and (data := os.read(output, _LONGEST)):
                    lines.feed(data)  # what it wrote between the two questions
                return code
    return None


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        return None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends all processes of the group: TERM first, so that the program can clean up, then KILL."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        _wait(process, _GRACE)
    _signal(process, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class _Lines:
    """Splits output into lines; of a line that overwrites itself with carriage returns the last version counts."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._rest = b""
        self.tail: deque[str] = deque(maxlen=_KEPT)

    def feed(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            whole.append(self._rest)
            self._rest = b""
        for line in whole:
            self._emit(line)

    def end(self) -> None:
        if self._rest:
            self._emit(self._rest)
            self._rest = b""

    def _emit(self, raw: bytes) -> None:
        line = masked(raw.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2])
        self.tail.append(line)
        self._log(line)
