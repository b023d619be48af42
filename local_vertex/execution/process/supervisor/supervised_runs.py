"""The runs of one folder: starts them, ends them and records how they ended.

A run is a folder. Whoever creates its file `claim` starts it, so a run starts at most once, whoever asks and however
often. The claim then identifies the process, and the file `exit` says how it ended. A claimed run without `exit` at the
start of a supervisor was lost with the supervisor before it (a reboot, an out-of-memory kill): what is left of its
processes is ended, and its reason is "Lost".
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import process_control
from .protocol import MARK, SIGNAL_BASE, Message, exited

_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Run:
    name: str
    pid: int
    kill_at: float | None = None


class Runs:
    """The runs of one folder.

    Args:
        root: The folder with one folder for each job that runs.
        send: Sends an event to the service.
    """

    def __init__(self, root: Path, send: Callable[[Message], None]) -> None:
        self._root = root
        self._send = send
        self._running: dict[int, _Run] = {}
        self._unwritten: dict[str, Message] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a process runs, or an exit is still to be written."""
        return bool(self._running or self._unwritten)

    def recover(self) -> None:
        """Records the end of every run that was lost with the supervisor before this one."""
        for claim in self._root.glob("*/*/claim"):
            if not (claim.parent / "exit").exists():
                with contextlib.suppress(OSError):
                    process_control.kill_group_of(claim.read_text())
                self._record_lost(str(claim.parent.relative_to(self._root)))

    def handle(self, request: Message) -> None:
        """Handles a request of the service: "start" or "stop"."""
        {"start": self._start, "stop": self._stop}[request["op"]](request)

    def reap(self) -> None:
        """Records the end of all processes that have ended."""
        while (dead := process_control.next_dead()) is not None:
            pid, code = dead
            run = self._running.pop(pid, None)
            if run is not None:
                process_control.kill_group(run.pid)
            process_control.release(pid)
            if run is not None:
                self._record(exited(run.name, code, "Completed" if code == 0 else "Error"))
        self._end_detached()

    def next_timer(self) -> float | None:
        """Seconds until `run_timers` is due; None if nothing is planned."""
        times = [run.kill_at - time.monotonic() for run in self._running.values() if run.kill_at is not None]
        if self._unwritten:
            times.append(_RETRY_SECONDS)
        return min(times, default=None)

    def run_timers(self) -> None:
        """Sends SIGKILL after the grace period, and retries to write exits."""
        now = time.monotonic()
        for run in self._running.values():
            if run.kill_at is not None and run.kill_at <= now:
                process_control.kill_group(run.pid)
                run.kill_at = now + _RETRY_SECONDS
        for event in list(self._unwritten.values()):
            self._write_exit(event)

    def _start(self, request: Message) -> None:
        name = request["run"]
        folder = self._root / name
        try:
            claim = os.open(folder / "claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            self._send_state(name)
            return
        except OSError as error:
            self._send(exited(name, SIGNAL_BASE, "StartError", f"{folder}: {error.strerror}"))
            return
        try:
            env = {**request["env"], MARK: str(folder)}
            pid = process_control.spawn(folder, request["argv"], env, request["cwd"])
            with contextlib.suppress(OSError):  # a full disk: only the next supervisor would need the claim's text
                os.write(claim, process_control.identity(pid).encode())
        except Exception as error:  # noqa: BLE001 - one request must not end what other jobs depend on
            self._record(exited(name, SIGNAL_BASE, "StartError", _start_error(request, error)))
            return
        finally:
            os.close(claim)
        self._running[pid] = _Run(name, pid)
        self._send({"event": "started", "run": name})

    def _send_state(self, name: str) -> None:
        """Repeats the last event of a run."""
        if any(run.name == name for run in self._running.values()):
            self._send({"event": "started", "run": name})
        elif name in self._unwritten:
            self._send(self._unwritten[name])
        else:
            try:
                self._send(json.loads((self._root / name / "exit").read_text()))
            except (OSError, ValueError):
                self._record_lost(name)

    def _stop(self, request: Message) -> None:
        for run in self._running.values():
            if run.name == request["run"] and run.kill_at is None:
                # As in a container: the first process gets the signal, and its end ends all others.
                process_control.kill(run.pid, signal.SIGTERM)
                run.kill_at = time.monotonic() + request["grace"]

    def _end_detached(self) -> None:
        """Ends processes in sessions of their own whose run is over: this process is a subreaper, so their parent."""
        running = {str(self._root / run.name) for run in self._running.values()}
        for pid in process_control.children():
            if pid not in self._running:
                folder = process_control.run_folder(pid)
                # A process that cleared its environment may belong to any run that is still running.
                if folder not in running and (folder or not running):
                    process_control.kill(pid, signal.SIGKILL)

    def _record_lost(self, name: str) -> None:
        self._record(exited(name, SIGNAL_BASE + signal.SIGKILL, "Lost"))

    def _record(self, event: Message) -> None:
        self._write_exit(event)
        self._send(event)

    def _write_exit(self, event: Message) -> None:
        name = event["run"]
        folder = self._root / name
        try:
            (folder / "exit.tmp").write_text(json.dumps(event))
            (folder / "exit.tmp").replace(folder / "exit")
        except FileNotFoundError:
            self._unwritten.pop(name, None)  # the job was deleted
        except OSError:  # most likely a full disk: retried later; the service has got the event already
            self._unwritten[name] = event
        else:
            self._unwritten.pop(name, None)


def _start_error(request: Message, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    named = error.filename if isinstance(error, OSError) and isinstance(error.filename, str) else ""
    return f'exec: "{named or next(iter(request["argv"]), "")}": {(reason or "error").lower()}'
