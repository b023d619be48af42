"""Starts processes and remembers how they ended; a small program of its own that outlives the service.

One runs for each folder of runs. The service speaks to it over a unix socket, one JSON object a line:

    {"op": "start", "run": "JOB/1-workerpool0-0.0", "argv": [...], "env": {...}, "cwd": "..."}
    {"op": "stop", "run": "...", "grace": 10.0}

and hears `{"event": "started" | "exited", "run": ..., "code": ..., "reason": ..., "time": ...}`.

A run is a folder. Whoever creates its file `claim` starts it, so a run starts at most once, whoever asks and however
often. The claim then names the process, and `exit` tells how it ended. A run that was claimed and has no `exit` when a
supervisor starts was lost with the one before (a reboot, an OOM kill): what is left of it is ended, and its reason is
"Lost".

Imports nothing but the standard library, for it is started by its path in 20 ms and stays small.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOCKET = "supervisor-1.sock"  # the number is the protocol's
MARK = "VERTEX_TRAINING_RUN"
"""Environment variable by which a process is known to belong to a run, wherever it detached itself to."""

START_ERROR = 128
_IDLE_SECONDS = 3.0
_RETRY_SECONDS = 1.0
_PR_SET_CHILD_SUBREAPER = 36

Event = dict[str, Any]


@dataclass(slots=True)
class _Run:
    name: str
    pid: int
    kill_at: float | None = None


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)


class Supervisor:
    """The folder's processes, and the service's connections.

    Args:
        root: Holds the runs' folders and the socket.
        listener: Bound and listening.
    """

    def __init__(self, root: Path, listener: socket.socket) -> None:
        self._root = root
        self._listener = listener
        self._runs: dict[int, _Run] = {}
        self._clients: dict[int, _Client] = {}
        self._unwritten: dict[str, Event] = {}
        self._idle_since = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._wake, wakeup = os.pipe()
        for end in (self._wake, wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)

    def recover(self) -> None:
        """Gives an end to every run that the supervisor before this one left without."""
        for claim in self._root.glob("*/*/claim"):
            if not (claim.parent / "exit").exists():
                _end_lost(claim)
                name = str(claim.parent.relative_to(self._root))
                self._record(name, START_ERROR + signal.SIGKILL, "Lost", "")

    def serve(self) -> None:
        """Until nobody is connected and nothing runs."""
        while True:
            for key, mask in self._selector.select(self._next_timer()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == self._wake:
                    self._reap()
                elif client := self._clients.get(key.fd):  # it may have been dropped a moment ago
                    self._talk(client, mask)
            self._run_timers()
            if self._clients or self._runs or self._unwritten:
                self._idle_since = time.monotonic()
            elif time.monotonic() - self._idle_since > _IDLE_SECONDS:
                return

    # Requests

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # gone already
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _talk(self, client: _Client, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                self._flush(client)
            if mask & selectors.EVENT_READ:
                data = client.connection.recv(1 << 20)
                if not data:
                    raise ConnectionResetError
                client.received += data
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        *lines, rest = client.received.split(b"\n")
        client.received = bytearray(rest)
        for line in lines:
            request = json.loads(line)
            {"start": self._start, "stop": self._stop}[request["op"]](request)

    def _drop(self, client: _Client) -> None:
        # Writing and reading may each find that the same client is gone; a closed socket can't be unregistered.
        if self._clients.pop(client.connection.fileno(), None) is not None:
            self._selector.unregister(client.connection)
            client.connection.close()

    def _tell(self, event: Event) -> None:
        line = json.dumps(event).encode() + b"\n"
        for client in list(self._clients.values()):
            client.unsent += line
            self._flush(client)

    def _flush(self, client: _Client) -> None:
        try:
            while client.unsent:
                del client.unsent[: client.connection.send(client.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        self._selector.modify(client.connection, wanted)

    # Runs

    def _start(self, request: Event) -> None:
        name = request["run"]
        folder = self._root / name
        try:
            claim = os.open(folder / "claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            self._report(name)
            return
        except OSError as error:
            event = _exited(name, START_ERROR, "StartError", f"{folder}: {error.strerror}")
            self._tell(event)
            return
        try:
            pid = _spawn(folder, request["argv"], {**request["env"], MARK: str(folder)}, request["cwd"])
            with contextlib.suppress(OSError):  # a full disk: only a supervisor after this one would miss it
                os.write(claim, f"{_boot()} {pid} {_started(pid)}".encode())
        except Exception as error:  # noqa: BLE001 - one request must not end what other jobs depend on
            self._record(name, START_ERROR, "StartError", _start_error(request, error))
            return
        finally:
            os.close(claim)
        self._runs[pid] = _Run(name, pid)
        self._tell({"event": "started", "run": name})

    def _report(self, name: str) -> None:
        """Tells again what is known of a run."""
        if any(run.name == name for run in self._runs.values()):
            self._tell({"event": "started", "run": name})
        elif name in self._unwritten:
            self._tell(self._unwritten[name])
        else:
            try:
                self._tell(json.loads((self._root / name / "exit").read_text()))
            except (OSError, ValueError):
                self._record(name, START_ERROR + signal.SIGKILL, "Lost", "")

    def _stop(self, request: Event) -> None:
        for run in self._runs.values():
            if run.name == request["run"] and run.kill_at is None:
                # As in a container: the first process is asked, and when it ends the rest goes with it.
                _kill(run.pid, signal.SIGTERM)
                run.kill_at = time.monotonic() + request["grace"]

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        while True:
            try:
                # The dead process keeps its number, and so its group's, until the group is ended.
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if dead is None:
                break
            run = self._runs.pop(dead.si_pid, None)
            if run is not None:
                _kill_group(run.pid)
            os.waitpid(dead.si_pid, 0)
            if run is not None:
                code = dead.si_status if dead.si_code == os.CLD_EXITED else START_ERROR + dead.si_status
                self._record(run.name, code, "Completed" if code == 0 else "Error", "")
        self._end_detached()

    def _end_detached(self) -> None:
        """Ends what detached itself from a run that is over: the kernel made this process its parent."""
        running = {str(self._root / run.name) for run in self._runs.values()}
        for pid in _children():
            if pid not in self._runs:
                mark = _mark(pid)
                # One that cleared its environment could belong to any run that goes on.
                if mark not in running and (mark or not running):
                    _kill(pid, signal.SIGKILL)

    def _record(self, name: str, code: int, reason: str, message: str) -> None:
        event = _exited(name, code, reason, message)
        self._write_exit(name, event)
        self._tell(event)

    def _write_exit(self, name: str, event: Event) -> None:
        folder = self._root / name
        try:
            (folder / "exit.tmp").write_text(json.dumps(event))
            (folder / "exit.tmp").replace(folder / "exit")
        except FileNotFoundError:
            pass  # the job was deleted
        except OSError:  # a full disk, most likely: it is tried again, and the service has heard it already
            self._unwritten[name] = event
        else:
            self._unwritten.pop(name, None)

    # Timers

    def _next_timer(self) -> float | None:
        times = [run.kill_at - time.monotonic() for run in self._runs.values() if run.kill_at is not None]
        if self._unwritten:
            times.append(_RETRY_SECONDS)
        if not self._clients and not self._runs:
            times.append(_IDLE_SECONDS)
        return max(0.0, min(times)) + 0.01 if times else None

    def _run_timers(self) -> None:
        now = time.monotonic()
        for run in self._runs.values():
            if run.kill_at is not None and run.kill_at <= now:
                _kill_group(run.pid)
                run.kill_at = now + _RETRY_SECONDS
        for name, event in list(self._unwritten.items()):
            self._write_exit(name, event)


def _exited(name: str, code: int, reason: str, message: str) -> Event:
    return {"event": "exited", "run": name, "code": code, "reason": reason, "message": message, "time": time.time()}


def _spawn(folder: Path, argv: list[str], env: dict[str, str], cwd: str) -> int:
    """Starts a process as leader of a session; its output goes to files, which need nobody to read them."""
    out, err = (os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600) for name in ("stdout", "stderr"))
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            umask=0o022,
        )
    finally:
        os.close(out)
        os.close(err)
    process.returncode = 0  # this program waits by itself
    return process.pid


def _start_error(request: Event, error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else str(error)
    return f'exec: "{request["argv"][0] if request["argv"] else ""}": {(said or "error").lower()}'


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _end_lost(claim: Path) -> None:
    try:
        boot, pid, started = claim.read_text().split()
    except (OSError, ValueError):
        return
    if boot == _boot() and started == _started(int(pid)):
        _kill_group(int(pid))


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks: with its number it names a process for good."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "-"


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _mark(pid: int) -> str:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = f"{MARK}=".encode()
    return next((os.fsdecode(v.removeprefix(prefix)) for v in variables if v.startswith(prefix)), "")


def main(root: Path) -> int:
    """Serves a folder as a daemon; says "ready" on stdout, or nothing when another one serves it already."""
    os.umask(0o077)
    os.chdir(root)  # a socket's path is short by law of the kernel; relative it always fits
    with Path("supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0
        if os.fork():
            os._exit(0)
        os.setsid()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with contextlib.suppress(FileNotFoundError):
            Path(SOCKET).unlink()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(SOCKET)
            supervisor = Supervisor(root, listener)
            supervisor.recover()
            listener.listen(16)
            listener.setblocking(False)
            print("ready", flush=True)
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            supervisor.serve()
            with contextlib.suppress(FileNotFoundError):
                Path(SOCKET).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
