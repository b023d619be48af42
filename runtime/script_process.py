"""Runs the script as a child process, as the first process of a container must: passes signals on, collects zombies.

If the job has secrets, the script's output goes through this process, which masks them; likewise where somebody reads
along.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from types import FrameType
from typing import IO, Callable, List, Mapping, Optional, Sequence

from .masking import StreamMask

_NOT_PASSED_ON = frozenset(
    number
    for name in (
        # These can't be caught, or are about this process itself.
        *("SIGKILL", "SIGSTOP", "SIGCHLD", "SIGPIPE", "SIGXFSZ", "SIGTTIN", "SIGTTOU"),
        # The kernel sends these for a fault of the process itself.
        *("SIGSEGV", "SIGFPE", "SIGILL", "SIGBUS", "SIGABRT", "SIGTRAP", "SIGSYS"),
    )
    for number in [getattr(signal, name, None)]
    if number is not None
)
_STOPPING = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP))


Reader = Callable[[bytes], None]
"""Takes the next bytes of one stream of the script, and none at its end."""

_LAST_OUTPUT = 2.0
"""Seconds after the script's end in which what is still in its pipes is passed on: a process that it left behind may
keep them open."""


class ScriptProcess:
    """One run of the script. To be used once, in the main thread.

    Args:
        secrets: Variables that the script gets beside this process's own, and whose values are masked in its output.
        reader: Makes a reader for each of the script's two streams. Default: nobody reads along.

    Attributes:
        stopped: Whether a signal that asks to stop arrived while the script ran.
    """

    def __init__(
        self, secrets: Optional[Mapping[str, str]] = None, reader: Optional[Callable[[], Reader]] = None
    ) -> None:
        self._secrets = dict(secrets or {})
        self._reader = reader
        self.stopped = False
        self._pid = 0
        self._ended = False
        self._waiting: List[int] = []

    def run(self, words: Sequence[str]) -> int:
        """Runs a command to its end, with this process's streams, environment and working directory.

        From this call on, signals are passed on to the command; after its end they are ignored.

        Returns:
            Its exit status; 128 and the signal's number if a signal ended it.

        Raises:
            OSError: The command can't be started.
        """
        for number in range(1, signal.NSIG):
            if number in _NOT_PASSED_ON:
                continue
            with contextlib.suppress(OSError, ValueError):  # a number that this system doesn't have
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # what was ignored, the script ignores too
                    signal.signal(number, self._pass_on)
        pipe = subprocess.PIPE if self._secrets or self._reader else None
        env = dict(os.environ, **self._secrets) if self._secrets else None
        process = subprocess.Popen(list(words), close_fds=False, stdout=pipe, stderr=pipe, env=env)
        self._pid = process.pid
        waiting, self._waiting = self._waiting, []
        for number in waiting:
            os.kill(self._pid, number)
        streams = [
            self._pass_through(stream, to) for stream, to in ((process.stdout, 1), (process.stderr, 2)) if stream
        ]
        process.returncode = self._wait()  # so that `subprocess` doesn't wait for it again
        for thread in streams:
            thread.join(_LAST_OUTPUT)
        return process.returncode

    def _pass_through(self, stream: IO[bytes], to: int) -> threading.Thread:
        """Copies a stream of the script to one of this process, in a thread, with its secrets masked."""
        mask = StreamMask(self._secrets.values())
        read = self._reader() if self._reader else None

        def copy() -> None:
            try:
                while True:
                    data = os.read(stream.fileno(), 1 << 16)
                    _write(to, mask.feed(data) if data else mask.end())
                    if read:
                        read(data)
                    if not data:
                        return
            except OSError:
                stream.close()  # nobody reads any more: the script's next write ends it, as without this process

        thread = threading.Thread(target=copy, daemon=True)
        thread.start()
        return thread

    def _pass_on(self, number: int, _frame: Optional[FrameType]) -> None:
        if self._ended:
            return
        self.stopped = self.stopped or number in _STOPPING
        if self._pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, number)
        else:
            self._waiting.append(number)

    def _wait(self) -> int:
        """Waits for the script, and collects processes that lost their parent, which belong to a container's first."""
        while True:
            # WNOWAIT: the process keeps its number until no signal can be sent to it any more.
            result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            if result is None:
                continue
            self._ended = result.si_pid == self._pid
            _, status = os.waitpid(result.si_pid, 0)
            if self._ended:
                return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _write(to: int, data: bytes) -> None:
    while data:
        data = data[os.write(to, data) :]
