"""Turns a replica's output into log entries: no line is lost or stored twice, even if the service is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ...store.records import LogEntry

MAX_LINE = 256 * 1024
"""Bytes of one entry (https://cloud.google.com/logging/quotas); longer lines are split."""

_MAX_DEPTH = 32  # protobuf's limit is 100, and a Struct takes two or three levels for each level of JSON
_SEVERITIES = frozenset(
    ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"),
)


class LogStore(Protocol):
    """The part of the store that log streams use."""

    def append_logs(
        self,
        id: str,  # noqa: A002
        entries: list[LogEntry],
        cursor: tuple[str, int] | None = None,
        *,
        once: bool = False,
    ) -> None:
        """Adds entries and the position up to which their source was read, in one transaction."""
        ...

    def cursor(self, id: str, stream: str) -> int:  # noqa: A002
        """That position, in bytes; 0 for a source that was never read."""
        ...


class LogStream:
    """One output of one run of a replica.

    Args:
        store: Keeps the entries and the position.
        job_id: The job of the replica.
        task: Name of the replica, for example "workerpool0-0".
        run: Name of the run within the job.
        output: "stdout", whose lines may be JSON objects, or "stderr", whose lines have the severity ERROR.
        clock: Seconds since 1970.
        is_new: Whether the run has not started yet, so that nothing of its output is in the store.
        plain: The form of lines that are no JSON objects, as the switch `plain_lines` has it.
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
        is_new: bool = False,
        plain: Callable[[], str] = lambda: "text",
    ) -> None:
        self._plain = plain
        self._store = store
        self._job = job_id
        self._task = task
        self._name = f"{run}/{output}"
        self._is_error = output == "stderr"
        self._clock = clock
        self.position = 0 if is_new else store.cursor(job_id, self._name)
        """How many bytes of the output are in the store."""

    def add(self, data: bytes, *, final: bool = False) -> None:
        """Stores the complete lines of `data`.

        Args:
            data: Output from `position` on.
            final: The output has ended: also store an unfinished last line.

        Raises:
            StorageError: The store can't be written; nothing was stored.
        """
        lines, used = _split(data, final=final)
        if used:
            now = self._clock()
            entries = [self._entry(line, now) for line in lines]
            self._store.append_logs(self._job, entries, (self._name, self.position + used))
            self.position += used

    def _entry(self, line: bytes, now: float) -> LogEntry:
        text = line.decode("utf-8", "replace").rstrip("\r")
        payload = None if self._is_error else _json_object(text)
        if payload is None:
            level = "ERROR" if self._is_error else "INFO"
            return LogEntry(now, level, self._task, self._plain_payload(text, level))
        severity = str(payload.get("severity", "")).upper()
        if severity in _SEVERITIES:
            del payload["severity"]
        return LogEntry(now, severity if severity in _SEVERITIES else "INFO", self._task, payload)

    def _plain_payload(self, text: str, level: str) -> str | dict[str, Any]:
        if self._plain() == "text":
            return text
        return {"attrs": {"tag": self._task}, "levelname": level, "message": text}


def service_lines(store: LogStore, job_id: str, key: str, texts: Sequence[str], severity: str = "INFO") -> None:
    """Stores messages of the service itself; only once for each `key` of a job."""
    stream, now = f"service/{key}", time.time()
    store.append_logs(job_id, [LogEntry(now, severity, "service", text) for text in texts], (stream, 1), once=True)


def _split(data: bytes, *, final: bool) -> tuple[list[bytes], int]:
    """Complete lines without their newlines, and how many bytes they take."""
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
        # JSON can contain half a surrogate pair, which no encoding can.
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
