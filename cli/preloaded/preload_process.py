"""The preloaded process: `python -m` starts it after a command that had to import, and it forks for the next ones."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from ..program import end_without_good_bye, run_program
from . import handover
from .preload_facts import fingerprint

IDLE_SECONDS = 30 * 60.0
"""After that long without a command it ends."""

_NICE = 10
"""The niceness of the imports: nobody waits for them."""

_AT_ONCE = 4
"""Commands that it runs at once; others import for themselves. Ten that began in the same moment kept Prefect's server
on SQLite busy with locks for two minutes, where runs that came one after the other took half a minute together."""

_LOOK_EVERY = 5.0
"""Seconds between looks whether another one has taken its place."""

_MODULES = (
    *("cli.main", "cli.commands.run", "cli.commands.sweep", "cli.commands.check", "cli.commands.plan"),
    *("flows.train", "flows.train_job", "flows.sweep", "flows.planning.dry_run", "tasks.preflight"),
)


class Taken(Exception):
    """In a forked process: the command that it runs."""

    def __init__(self, words: list[str]) -> None:
        self.words = words


class Preloaded:
    """Waits for commands, and forks for each.

    Args:
        folder: Where it listens; the newest process has the socket.
        fingerprint: What a command must have in common with it.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._path = folder / "socket"
        self._fingerprint = fingerprint
        self._children: dict[int, socket.socket] = {}
        self._last = time.monotonic()
        self._listening = socket.socket(socket.AF_UNIX)
        self._own = 0
        self._process = os.getpid()

    def serve(self) -> None:
        """Returns when it is no longer needed.

        Raises:
            Taken: This is a forked process, which has a command to run.
        """
        self._listen()
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._close())
        gc.collect()
        gc.freeze()  # what was imported never becomes garbage, and its memory stays shared with the forked processes
        while self._is_needed():
            waited = [reader, *([self._listening] if self._own else [])]
            ready, _, _ = select.select(waited, [], [], _LOOK_EVERY)
            if reader in ready:
                os.read(reader, 512)
            self._reap()
            if self._listening in ready:
                self._accept()
        self._close()

    def _listen(self) -> None:
        """Takes the place of an earlier process, which sees that and ends."""
        os.chdir(self._path.parent)  # a socket's address is short
        name = f"socket.{os.getpid()}"
        self._listening.bind(name)
        Path(name).chmod(0o600)
        self._listening.listen(64)
        self._listening.settimeout(handover.SECONDS)
        self._own = Path(name).stat().st_ino
        Path(name).replace("socket")

    def _is_needed(self) -> bool:
        if self._own and (time.monotonic() - self._last > IDLE_SECONDS or self._inode() != self._own):
            self._close()
        return bool(self._own or self._children)

    def _inode(self) -> int:
        try:
            return self._path.stat().st_ino
        except OSError:
            return 0

    def _close(self) -> None:
        """Takes no further command; those that run go on."""
        if self._own and self._inode() == self._own:
            self._path.unlink(missing_ok=True)
        self._own = 0
        self._listening.close()

    def _reap(self) -> None:
        for process in list(self._children):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                with contextlib.suppress(OSError), self._children.pop(process) as connection:
                    handover.send(connection, {"code": os.waitstatus_to_exitcode(status)})

    def _accept(self) -> None:
        descriptors: list[int] = []
        connection = None
        try:
            connection, _ = self._listening.accept()
            connection.settimeout(handover.SECONDS)
            if handover.peer(connection)[1] != os.getuid():
                return
            command = handover.receive(connection, descriptors)
            if command.get("stop"):
                self._close()
            elif not self._takes(command, descriptors):
                handover.send(connection, {"process": 0, "same": command.get("fingerprint") == self._fingerprint})
            else:
                self._fork(connection, command, descriptors)
                connection = None
        except (OSError, EOFError, ValueError):  # whoever asked has gone
            if os.getpid() != self._process:
                os._exit(0)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            if connection is not None:
                connection.close()

    def _takes(self, command: dict[str, Any], descriptors: list[int]) -> bool:
        if len(descriptors) != 4 or len(self._children) >= _AT_ONCE:
            return False
        return command.get("fingerprint") == self._fingerprint

    def _fork(self, connection: socket.socket, command: dict[str, Any], descriptors: list[int]) -> None:
        self._last = time.monotonic()
        process = os.fork()
        if process:
            self._children[process] = connection
            return
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._listening.close()
        for other in self._children.values():
            other.close()
        become(command, descriptors)
        # The command must know of this process before it begins: one that has given up runs by itself.
        handover.send(connection, {"process": os.getpid()})
        if connection.recv(1) != handover.GO:
            os._exit(0)  # public, in spite of its name: the other process's exit handlers are not this one's
        # A duplicate, because `_accept` closes its own on the way out.
        threading.Thread(target=_end_with, args=(connection.dup(),), name="caller", daemon=True).start()
        raise Taken(command["words"])


def become(command: dict[str, Any], descriptors: list[int]) -> None:
    """Makes this process what the command's own would be: open files, folder, variables."""
    os.setsid()
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.fchdir(descriptors[3])
    os.umask(command["umask"])
    os.environ.clear()
    os.environ.update(command["environ"])
    time.tzset()
    random.seed()
    tempfile.tempdir = None
    sys.argv[1:] = command["words"]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream is sys.stderr or stream.isatty())  # pyright: ignore[reportAttributeAccessIssue]


def _end_with(connection: socket.socket) -> None:
    """Ends this process when the command that it stands for was killed: it then ends as suddenly."""
    connection.settimeout(None)
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def main(options: dict[str, Any]) -> None:
    """Imports, listens, and runs in forked processes what it is given."""
    code = end_without_good_bye()  # before anything is imported that wants to be called at the end
    folder = Path(options["folder"])
    os.chdir(folder)
    imports = threading.Thread(target=preload)
    imports.start()
    imports.join()
    if threading.active_count() > 1 or fingerprint() != options["fingerprint"]:
        return  # a thread would be missing in the forked processes; or something changed in these seconds
    try:
        Preloaded(folder, options["fingerprint"]).serve()
        code[0] = 0
    except Taken as taken:
        run_program(taken.words, code)


def preload() -> None:
    """Imports what the commands import, in a thread of low priority, which a process can't leave again."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    from ..light_imports import import_clients, lighten_imports

    lighten_imports()
    import_module("prefect.main")
    package = __package__.partition(".cli")[0] if __package__ else ""
    for name in _MODULES:
        import_module(f"{package}.{name}")
    import_clients()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
