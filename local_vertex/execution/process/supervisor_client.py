"""Client of the supervisor: starts it when needed, and repeats its requests after a lost connection."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ....core.errors import LocalServiceError, storage_errors
from ..replica.runner import Exit
from .supervisor.protocol import SOCKET

_SUPERVISOR = Path(__file__).with_name("supervisor") / "__main__.py"
_ATTEMPTS = 5
_RETRY_SECONDS = 0.2
_MAX_SOCKET_PATH = 100  # bytes; sun_path is 108 on Linux and 104 on macOS, with its final zero

OPEN_FILES = Path("/proc/self/fd")
"""Where Linux shows a process its open files; other systems have no such folder."""


@dataclass
class _Run:
    request: dict[str, Any]
    up: asyncio.Event = field(default_factory=asyncio.Event)
    exited: asyncio.Future[Exit] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    grace: float | None = None


class SupervisorClient:
    """Starts, stops and awaits runs of replicas; to be used in one event loop.

    Args:
        root: The folder with one folder for each job that runs.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._runs: dict[str, _Run] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def start(self, run: str, argv: Sequence[str], env: Mapping[str, str], cwd: str) -> bool:
        """Starts a run unless it was started before; False when it can't be started."""
        known = self._runs.get(run)
        if known is None:
            known = _Run({"op": "start", "run": run, "argv": list(argv), "env": dict(env), "cwd": cwd})
            self._runs[run] = known
            await self._send(known.request)
        await known.up.wait()
        return not (known.exited.done() and known.exited.result().reason == "StartError")

    async def wait(self, run: str) -> Exit:
        """Waits for the end of a run that was started."""
        return await asyncio.shield(self._runs[run].exited)

    async def stop(self, run: str, grace: float) -> None:
        """Sends SIGTERM, then SIGKILL after `grace` seconds, and waits for the end of the run."""
        known = self._runs[run]
        if not known.exited.done():
            known.grace = grace
            await self._send({"op": "stop", "run": run, "grace": grace})
        await asyncio.shield(known.exited)

    def has_ended(self, run: str) -> bool:
        """Whether a run is known to have ended."""
        return run in self._runs and self._runs[run].exited.done()

    def forget(self, run: str) -> None:
        """Frees the memory for a run that has ended."""
        self._runs.pop(run, None)

    async def close(self) -> None:
        """Closes the connection; runs go on."""
        if self._reader is not None:
            self._reader.cancel()
        if self._writer is not None:
            self._writer.close()

    async def _send(self, message: Mapping[str, Any]) -> None:
        async with self._connecting:
            if self._writer is None:
                await self._connect()
            else:
                self._write(message)
                return
        # `_connect` has sent everything that is pending, including this message.

    def _write(self, message: Mapping[str, Any]) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def _connect(self) -> None:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(OSError):
                reader, self._writer = await self._open()
                break
            await asyncio.to_thread(_launch, self._root)
        else:
            raise LocalServiceError(
                "the program that starts the jobs' processes can't be reached",
                where=self._root / SOCKET,
                next_step="Make sure that this folder is on a local disk, and run again",
            )
        self._reader = asyncio.create_task(self._listen(reader))
        for run in self._runs.values():
            if not run.exited.done():
                self._write(run.request)
                if run.grace is not None:
                    self._write({"op": "stop", "run": run.request["run"], "grace": run.grace})

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not OPEN_FILES.exists():
            return await asyncio.open_unix_connection(_short_path(self._root / SOCKET), limit=1 << 24)
        # A path through /proc is short enough for a socket's address, however long the folder's path is.
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return await asyncio.open_unix_connection(f"{OPEN_FILES}/{folder}/{SOCKET}", limit=1 << 24)
        finally:
            os.close(folder)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self._on_event(json.loads(line))
        self._writer = None
        if any(not run.exited.done() for run in self._runs.values()):
            await self._reconnect()

    async def _reconnect(self) -> None:
        while True:
            async with self._connecting:
                if self._writer is not None:
                    return
                with contextlib.suppress(LocalServiceError, OSError):
                    await self._connect()
                    return
            await asyncio.sleep(_RETRY_SECONDS)

    def _on_event(self, event: dict[str, Any]) -> None:
        run = self._runs.get(event["run"])
        if run is None:
            return
        run.up.set()
        if event["event"] == "exited" and not run.exited.done():
            run.exited.set_result(Exit(event["code"], event["reason"], event["message"], event["time"]))


def _short_path(socket: Path) -> str:
    """A path of a socket that fits into an address: through a link in a folder that only this user can enter."""
    if len(os.fsencode(socket)) <= _MAX_SOCKET_PATH:
        return str(socket)
    digest = hashlib.sha256(os.fsencode(socket.parent)).hexdigest()[:16]
    folder = Path(f"/tmp/vertex-training-{os.getuid()}-runs")  # noqa: S108 - checked below
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise OSError(f"{folder} belongs to another user")
    link = folder / digest
    if not link.is_symlink() or link.readlink() != socket.parent:
        link.unlink(missing_ok=True)
        link.symlink_to(socket.parent)
    return str(link / socket.name)


def _launch(root: Path) -> None:
    """Starts a supervisor and waits until it listens; does nothing if one runs already."""
    with (
        storage_errors(root),
        subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(root)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()
