"""The supervisor's process: its event loop, and its start as a daemon."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import time
from pathlib import Path

from . import process_control
from .connections import Connections
from .protocol import SOCKET
from .supervised_runs import Runs

_IDLE_SECONDS = 3.0
_BACKLOG = 16


class Supervisor:
    """Serves requests and watches processes, in one thread; takes over the signals of its process.

    Args:
        root: The folder with one folder for each job that runs.
        listener: A bound socket.
    """

    def __init__(self, root: Path, listener: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._connections = Connections(listener, self._selector)
        self._runs = Runs(root, self._connections.broadcast)
        self._wakeup, wakeup = os.pipe()
        for end in (self._wakeup, wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    def recover(self) -> None:
        """Records the end of every run that was lost with the supervisor before this one."""
        self._runs.recover()

    def serve(self) -> None:
        """Serves until there is neither a connection nor a process for some seconds."""
        idle_since = time.monotonic()
        while True:
            for key, mask in self._selector.select(self._timeout()):
                if key.fileobj == self._wakeup:
                    self._reap()
                else:
                    for request in self._connections.handle(key, mask):
                        self._runs.handle(request)
            self._runs.run_timers()
            if not self._runs.is_busy:
                process_control.forget_namespaces()
            if self._connections or self._runs.is_busy:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > _IDLE_SECONDS:
                return

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup, 4096)
        self._runs.reap()

    def _timeout(self) -> float | None:
        due = self._runs.next_timer()
        if not self._connections and not self._runs.is_busy:
            due = _IDLE_SECONDS
        return None if due is None else max(0.0, due) + 0.01


def main(root: Path) -> int:
    """Serves a folder as a daemon; prints "ready" when it listens, or nothing if another daemon serves the folder."""
    os.umask(0o077)
    os.chdir(root)  # a socket's path is limited to about 100 bytes; a relative one always fits
    with Path("supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0
        if os.fork():
            os._exit(0)  # public, in spite of its name: ends the parent without its exit handlers
        os.setsid()
        process_control.become_subreaper()
        with contextlib.suppress(FileNotFoundError):
            Path(SOCKET).unlink()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(SOCKET)
            supervisor = Supervisor(root, listener)
            supervisor.recover()
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            print("ready", flush=True)
            _close_standard_streams()
            supervisor.serve()
            with contextlib.suppress(FileNotFoundError):
                Path(SOCKET).unlink()
    return 0


def _close_standard_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
