"""Hands a command to the home's preloaded process, and stands for it until it ends: signals, output, exit code.

Hardly anything is imported here: these are the first lines that a command runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from ...core.home import Home

COMMANDS = frozenset(("check", "plan", "run", "sweep"))
"""Those that import Prefect and the flows; none of them reads standard input."""

SWITCH = "VERTEX_TRAINING_PRELOAD"
"""Environment variable that turns all of this off: 0, off, no or false."""

SECONDS = 2.0
"""Longest wait for the preloaded process to begin a command; then the command begins by itself."""

GO = b"g"
"""What a forked process waits for: it begins only when the command has seen that it is there."""

_LENGTH = struct.Struct("!I")
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def is_wanted(words: Sequence[str]) -> bool:
    """Whether the command is one that a preloaded process may run."""
    if sys.platform != "linux" or os.environ.get(SWITCH, "").lower() in {"0", "off", "no", "false"}:
        return False
    own = words[: words.index("--")] if "--" in words else words
    return bool(own) and own[0] in COMMANDS and not {"--help", "-h"} & set(own)


def socket_folder(home: Home) -> Path:
    """Where the home's preloaded process listens; there may be none yet."""
    return home.root / "preloaded"


def hand_over(words: Sequence[str]) -> int | None:
    """Has the preloaded process run the command; returns its exit code, or None if it has to run here.

    A command that a signal ended ends this process by the same signal.
    """
    if not is_wanted(words):
        return None
    with _forwarded() as signals:
        try:
            connection = _begun(words, signals)
        except (OSError, EOFError, ValueError):  # it isn't there, is another user's, or is ending: nothing has begun
            connection = None
        code = None
        if connection is not None:
            with connection:
                code = _end_of(connection)
    if code is None:
        signals.send_again()
        return None
    if code < 0:  # as the shell sees it when the command itself is ended by a signal
        with contextlib.suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def connect(folder: Path) -> socket.socket:
    """A connection to the preloaded process of this user.

    Raises:
        OSError: None listens.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS)
    try:
        # Through a descriptor: the address of a socket is at most 108 bytes long, and a home's path may be longer.
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            connection.connect(f"/proc/self/fd/{descriptor}/socket")
        finally:
            os.close(descriptor)
        if peer(connection)[1] != os.getuid():
            raise PermissionError("another user's process listens")
    except BaseException:
        connection.close()
        raise
    return connection


def peer(connection: socket.socket) -> tuple[int, int]:
    """The process and the user at the other end, as the kernel has them."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process, user, _ = struct.unpack("3i", found)
    return process, user


def send(connection: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Sends a message, which may carry open files."""
    data = json.dumps(message).encode()
    if descriptors:
        socket.send_fds(connection, [_LENGTH.pack(len(data))], list(descriptors))
    else:
        connection.sendall(_LENGTH.pack(len(data)))
    connection.sendall(data)


def receive(connection: socket.socket, descriptors: list[int] | None = None) -> dict[str, Any]:
    """Receives a message, and adds the open files that it carries to the list.

    Raises:
        EOFError: The other end has gone.
    """
    if descriptors is None:
        head = _exactly(connection, _LENGTH.size)
    else:
        head, found, _, _ = socket.recv_fds(connection, _LENGTH.size, 8)
        descriptors += found
        head += _exactly(connection, _LENGTH.size - len(head)) if head else b""
    if not head:
        raise EOFError
    message: dict[str, Any] = json.loads(_exactly(connection, _LENGTH.unpack(head)[0]))
    return message


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _begun(words: Sequence[str], signals: _Signals) -> socket.socket | None:
    """Sends the command; returns the connection to its process, or None if it is refused.

    Raises:
        OSError, EOFError, ValueError: It can't be handed over.
    """
    from .preload_facts import fingerprint, is_plain_folder

    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(connect(socket_folder(Home.default())))
        if not is_plain_folder():
            return None
        folder = os.open(".", os.O_PATH | os.O_DIRECTORY)
        stack.callback(os.close, folder)
        mask = os.umask(0o077)
        os.umask(mask)
        command = {"fingerprint": fingerprint(), "words": list(words), "environ": dict(os.environ), "umask": mask}
        send(connection, command, (0, 1, 2, folder))
        process = receive(connection).get("process")
        if not process:
            return None
        connection.settimeout(None)
        begun = connection.dup()
        connection.sendall(GO)
        signals.begin(process)
        return begun


def _end_of(connection: socket.socket) -> int:
    try:
        code: int = receive(connection)["code"]
    except (OSError, EOFError):
        print("error: the process that ran this command has gone. Run it again", file=sys.stderr)
        return 1
    return code


class _Signals:
    """Passes this process's signals on to the command, and keeps those that come before it has begun."""

    def __init__(self) -> None:
        self._process = 0
        self._early: list[int] = []

    def begin(self, process: int) -> None:
        """The command has begun in that process."""
        self._process = process
        for number in self._early:
            self.take(number, None)

    def take(self, number: int, _: FrameType | None) -> None:
        """Takes a signal."""
        if not self._process:
            self._early.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process, number)

    def send_again(self) -> None:
        """Sends the early signals to this process, which runs the command itself."""
        for number in self._early:
            os.kill(os.getpid(), number)

    def stop(self, _: int, __: FrameType | None) -> None:
        """Ctrl-Z stops the command, and this process with it."""
        self.take(signal.SIGSTOP, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        self.take(signal.SIGCONT, None)


@contextlib.contextmanager
def _forwarded() -> Iterator[_Signals]:
    signals = _Signals()
    before = {number: signal.getsignal(number) for number in (*_FORWARDED, signal.SIGTSTP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signals.stop if number == signal.SIGTSTP else signals.take)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
