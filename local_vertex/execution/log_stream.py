"""From what a replica writes to the store's lines: none lost, none twice, whoever is killed in between."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ...core.errors import StorageError
from ..store.store import LogEntry

MAX_LINE = 256 * 1024
"""Bytes of one entry, https://cloud.google.com/logging/quotas; a longer line is cut in pieces."""

_CHUNK = 1 << 20
_MAX_DEPTH = 32  # protobuf refuses to read what is nested 100 deep, and a Struct takes two or three levels for one
_SEVERITIES = frozenset(
    ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"),
)


class LogStore(Protocol):
    """The part of the store that lines need."""

    def append_logs(
        self,
        id: str,  # noqa: A002
        entries: list[LogEntry],
        cursor: tuple[str, int] | None = None,
    ) -> None:
        """Adds lines and the place up to which their source was read, in one transaction."""
        ...

    def cursor(self, id: str, stream: str) -> int:  # noqa: A002
        """That place."""
        ...


class Stream:
    """One output of one run of a replica, as it goes into the store.

    Args:
        store: Keeps the lines and how far they were read.
        job_id: Whose they are.
        task: As "workerpool0-0".
        run: Names the run within the job.
        output: "stdout", whose lines may be JSON objects, or "stderr", whose lines are errors.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        store: LogStore,
        job_id: str,
        task: str,
        run: str,
        output: str,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._job = job_id
        self._task = task
        self._name = f"{run}/{output}"
        self._is_error = output == "stderr"
        self._clock = clock
        self.position = store.cursor(job_id, self._name)
        """Bytes from the beginning that are in the store."""

    def take(self, data: bytes, *, final: bool = False) -> None:
        """Stores the lines of `data`, which begins at `position`; what follows the last newline waits, unless final.

        Raises:
            StorageError: Nothing was taken.
        """
        lines, used = _split(data, final=final)
        if used:
            now = self._clock()
            entries = [self._entry(line, now) for line in lines]
            self._store.append_logs(self._job, entries, (self._name, self.position + used))
            self.position += used

    def _entry(self, line: bytes, now: float) -> LogEntry:
        text = line.decode("utf-8", "replace").rstrip("\r")
        if self._is_error:
            return LogEntry(now, "ERROR", self._task, text)
        payload = _json_object(text)
        if payload is None:
            return LogEntry(now, "INFO", self._task, text)
        severity = str(payload.get("severity", "")).upper()
        if severity in _SEVERITIES:
            del payload["severity"]
        return LogEntry(now, severity if severity in _SEVERITIES else "INFO", self._task, payload)


class FileTail:
    """Reads a file that grows into a stream."""

    def __init__(self, path: Path, stream: Stream) -> None:
        self._path = path
        self._stream = stream
        self._size = -1

    def read(self, *, final: bool = False) -> None:
        """Takes what is new; with `final` all of it.

        Raises:
            StorageError: The store can't be written; the next call goes on from there.
        """
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return
        if size == self._size and not final:
            return
        while self._stream.position < size:
            before = self._stream.position
            with self._path.open("rb") as file:
                file.seek(before)
                data = file.read(_CHUNK)
            self._stream.take(data, final=final and before + len(data) >= size)
            if self._stream.position == before:
                break  # an unfinished line
        self._size = size


class Tails:
    """All files that are being written, looked at together."""

    def __init__(self) -> None:
        self._tails: set[FileTail] = set()

    def add(self, tail: FileTail) -> None:
        """Follows a file."""
        self._tails.add(tail)

    def remove(self, tail: FileTail) -> None:
        """Follows it no longer."""
        self._tails.discard(tail)

    def read(self) -> None:
        """Takes what is new in each; a store that can't be written now is tried again the next time."""
        for tail in list(self._tails):
            try:
                tail.read()
            except StorageError:
                return
            except Exception:  # noqa: BLE001 - one file that can't be read must not keep others waiting
                traceback.print_exc()
                self._tails.discard(tail)


def service_line(store: LogStore, job_id: str, key: str, text: str, severity: str = "INFO") -> None:
    """The platform's own line, stored once for each key however often it is said."""
    stream = f"service/{key}"
    if store.cursor(job_id, stream) == 0:
        store.append_logs(job_id, [LogEntry(time.time(), severity, "service", text)], (stream, 1))


def _split(data: bytes, *, final: bool) -> tuple[list[bytes], int]:
    """Whole lines, without their newlines, and how many bytes they took."""
    lines: list[bytes] = []
    used = 0
    while used < len(data):
        end = data.find(b"\n", used, used + MAX_LINE)
        if end >= 0:
            lines.append(data[used:end])
            used = end + 1
        elif len(data) - used >= MAX_LINE or final:
            lines.append(data[used : used + MAX_LINE])
            used += len(lines[-1])
        else:
            break
    return lines, used


def _json_object(text: str) -> dict[str, Any] | None:
    if not (text.startswith("{") and text.rstrip().endswith("}")):
        return None
    try:
        value = json.loads(text, parse_int=_number)
        # Half a surrogate pair can be written in JSON, and nowhere else.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _depth(value) <= _MAX_DEPTH else None


def _number(text: str) -> int | float:
    return int(text) if len(text) < 300 else float(text)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
