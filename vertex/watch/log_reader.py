"""Reads the jobs' log lines from Cloud Logging, each once and as they arrive; one reader serves all jobs of a process.

Lines arrive out of order, so a position in the log is not enough: each read includes a job's last few seconds again and
drops lines that were read before. A project may read 60 times a minute for all its jobs together, so one request reads
the lines of all jobs of a process, each from its own position.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...core.errors import TrainingError
from ...core.security.masked_text import masked
from ..client.calls import calling
from ..client.connection import Connection
from ..job_types import LogLine

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value

LogEntry = Any
"""An entry as protobuf's own message. Google's wrappers of it take most of the time of a long log."""

TAIL = 200
"""Number of last lines that are kept for a diagnosis."""

JOBS_A_REQUEST = 180
"""Most jobs in one request: a filter has at most 20,000 characters, and a job takes about 100 of them.

https://cloud.google.com/logging/quotas
"""

BURST = 10
"""Most pages that are read without a pause; the rest of a longer log is read later."""

_EXACT = 2**53
"""Up to this number a float represents every whole number exactly."""


class Cursor:
    """A position in a job's log; a watch with the cursor of an earlier one continues there.

    Attributes:
        newest: Time of the newest line, seconds since 1970.
        tail: The last lines.
        seen: Marks of lines that may be read again.
    """

    def __init__(self) -> None:
        self.newest = 0.0
        self.tail: deque[LogLine] = deque(maxlen=TAIL)
        self.seen: dict[tuple[float, str], None] = {}
        self._most_seen = 2 * TAIL

    def fresh(self, entries: Iterable[LogEntry], now: float, overlap: float) -> list[LogLine]:
        """The lines that were not read before, in the order of their arrival."""
        lines = []
        for entry in entries:
            mark = _mark(entry)
            if mark in self.seen:
                continue
            line = _line(entry)
            self.seen[mark] = None
            # Programs may set a line's time; one in the future must not hide the lines after it.
            self.newest = max(self.newest, min(line.timestamp, now))
            self.tail.append(line)
            lines.append(line)
        if len(self.seen) > self._most_seen:
            oldest = self.newest - 2 * overlap
            self.seen = {mark: None for mark in self.seen if mark[0] >= oldest}
            # Looked through again only when it has doubled: many lines of the same second all stay.
            self._most_seen = 2 * max(len(self.seen), TAIL)
        return lines


class LogReader:
    """Reads the log lines of all jobs that have joined, and keeps them until they are taken. Threads may share it.

    A failed read never ends a watch: it is repeated later, and a refusal becomes one line in the job's log.

    Args:
        connection: The service.
        clock: Seconds since 1970.
    """

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self.connection = connection
        self.clock = clock
        self.due = 0.0
        self.refused: LogLine | None = None
        self._cursors: dict[str, Cursor] = {}
        self._lines: dict[str, deque[LogLine]] = {}
        self._read_until: dict[str, float] = {}
        self._pass: Iterator[None] | None = None
        self._failures = 0
        self._reading = threading.Lock()

    def join(self, job_id: str, cursor: Cursor) -> None:
        """Starts reading a job's lines, from its cursor on."""
        self._lines[job_id] = deque([self.refused] if self.refused else [])
        self._read_until[job_id] = float("-inf")
        self._cursors[job_id] = cursor

    def leave(self, job_id: str) -> None:
        """Stops reading a job's lines."""
        for kept in (self._cursors, self._lines, self._read_until):
            kept.pop(job_id, None)

    def take(self, job_id: str) -> list[LogLine]:
        """The lines that arrived since the last call."""
        kept = self._lines[job_id]
        return [kept.popleft() for _ in range(len(kept))]

    def read_until(self, job_id: str) -> float:
        """All lines that the log had of this job at this time were read; seconds since 1970."""
        return self._read_until[job_id]

    def read_if_due(self, *, now: bool = False) -> None:
        """Reads if the time for it has come, or at once with `now`; does nothing while another thread reads."""
        if self.refused or not (now or self.clock() >= self.due) or not self._reading.acquire(blocking=False):
            return
        try:
            self._read()
        finally:
            self._reading.release()

    def _read(self) -> None:
        pace = self.connection.pace
        if self._pass is None:
            self._pass = self._whole_pass(dict(self._cursors))
        pages = 0
        try:
            for _ in islice(self._pass, BURST):
                pages += 1
        except TrainingError as error:
            self._pass = None
            self._back_off(error)
            return
        self._failures = 0
        whole = pages < BURST
        if whole:
            self._pass = None
        self.due = self.clock() + max(pace.log_poll if whole else 0.0, pages * pace.log_page)

    def _back_off(self, error: TrainingError) -> None:
        """Doubles the time to the next read; a refusal ends the reading."""
        self._failures += 1
        self.due = self.clock() + min(60.0, self.connection.pace.log_poll * 2**self._failures)
        if not error.transient:
            self.refused = LogLine(self.clock(), "WARNING", f"the job's log can't be read: {error}", "service")
            for lines in list(self._lines.values()):
                lines.append(self.refused)

    def _whole_pass(self, cursors: dict[str, Cursor]) -> Iterator[None]:
        """Reads all lines of these jobs; yields after each page."""
        every = list(cursors)
        for first in range(0, len(every), JOBS_A_REQUEST):
            ids = every[first : first + JOBS_A_REQUEST]
            began = self.clock()
            for page in self._pages({job_id: cursors[job_id] for job_id in ids}):
                for job_id, entries in _by_job(page, ids).items():
                    self._keep(job_id, cursors[job_id], entries)
                yield
            for job_id in ids:
                if job_id in self._read_until:
                    self._read_until[job_id] = began

    def _keep(self, job_id: str, cursor: Cursor, entries: Sequence[LogEntry]) -> None:
        if job_id in self._lines:  # the job may have left meanwhile
            self._lines[job_id].extend(cursor.fresh(entries, self.clock(), self.connection.pace.log_overlap))

    def _pages(self, cursors: dict[str, Cursor]) -> Iterator[Sequence[LogEntry]]:
        pace = self.connection.pace
        places = [_from_place(job_id, cursor.newest - pace.log_overlap) for job_id, cursor in cursors.items()]
        wanted = places[0] if len(places) == 1 else "(" + " OR ".join(f"({place})" for place in places) + ")"
        request = {
            "resource_names": [f"projects/{self.connection.project}"],
            "filter": f'resource.type="ml_job" AND {wanted}',
            "order_by": "timestamp asc",
            "page_size": 1000,
        }
        where = next(iter(cursors)) if len(cursors) == 1 else f"{len(cursors)} jobs"
        token = ""
        while True:
            with calling(self.connection, "read the job's log", where):
                pager = self.connection.logs.list_log_entries(
                    request={**request, "page_token": token}, retry=None, timeout=pace.deadline
                )
                page = next(iter(pager.pages))
                raw = type(page).pb(page)
            token = raw.next_page_token
            yield raw.entries
            if not token:
                return


def _from_place(job_id: str, seconds: float) -> str:
    start = datetime.fromtimestamp(max(0.0, seconds), tz=UTC).isoformat(timespec="microseconds")
    return f'resource.labels.job_id="{job_id}" AND timestamp>="{start.replace("+00:00", "Z")}"'


def _by_job(page: Sequence[LogEntry], ids: Sequence[str]) -> dict[str, list[LogEntry]]:
    """A page's entries, grouped by job."""
    if len(ids) == 1:
        return {ids[0]: list(page)}
    split: dict[str, list[LogEntry]] = {job_id: [] for job_id in ids}
    for entry in page:
        split.get(entry.resource.labels["job_id"], []).append(entry)
    return split


def _mark(entry: LogEntry) -> tuple[float, str]:
    """Identifies a line."""
    return entry.timestamp.seconds + entry.timestamp.nanos / 1e9, entry.insert_id or entry.text_payload


def _line(entry: LogEntry) -> LogLine:
    task = entry.resource.labels.get("task_name", "service")
    payload = _plain_struct(entry.json_payload) if entry.HasField("json_payload") else {}
    # The runtime has masked secrets already, unless the job's command took its place.
    payload = {name: masked(value) if isinstance(value, str) else value for name, value in payload.items()}
    return LogLine(_mark(entry)[0], _severity(entry.severity), masked(_message(entry, payload)), task, payload)


@cache
def _severity(number: int) -> str:
    from google.logging.type.log_severity_pb2 import LogSeverity

    try:
        return LogSeverity.Name(number)
    except ValueError:
        return "DEFAULT"


def _message(entry: LogEntry, payload: dict[str, Any]) -> str:
    """The line's text; of a structured line its `message`, or the whole line as JSON."""
    if payload:
        message = payload.get("message")
        text = message if isinstance(message, str) else json.dumps(payload, ensure_ascii=False, sort_keys=True)
    else:
        text = entry.text_payload
    return text.rstrip("\r\n")


def _plain_struct(struct: Struct) -> dict[str, Any]:
    return {key: _plain_value(value) for key, value in struct.fields.items()}


def _plain_value(value: Value) -> Any:  # noqa: ANN401 - JSON
    """A value of JSON; protobuf keeps all numbers as floats."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain_struct(value.struct_value)
    if kind == "list_value":
        return [_plain_value(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < _EXACT else number
    return getattr(value, kind) if kind in {"string_value", "bool_value"} else None
