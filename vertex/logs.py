"""A job's lines from Cloud Logging, each once and as they come.

A cursor of (timestamp, insertId) is not enough: lines arrive out of order. Each read looks again at the last few
seconds and drops what was seen.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..core.errors import TrainingError
from .calls import calling
from .connection import Connection
from .model import LogLine

if TYPE_CHECKING:
    from google.cloud.logging_v2.types import LogEntry

DRAIN_LIMIT = 60.0
"""Seconds after a job's end in which lines are still read."""

TAIL = 200
"""How many of the last lines are kept for a diagnosis."""


class LogReader:
    """Reads one job's lines and hands each on once; trouble with the log never ends a watch.

    Args:
        connection: Where to.
        name: The job's name.
        since: Nothing older is looked for, seconds since 1970.
        on_line: Called with every line, in the order in which they arrive.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        since: float,
        on_line: Callable[[LogLine], None],
        clock: Callable[[], float],
    ) -> None:
        self.connection = connection
        self.name = name
        self.on_line = on_line
        self.clock = clock
        self.tail: deque[LogLine] = deque(maxlen=TAIL)
        self._newest = since
        self._seen: dict[tuple[float, str], None] = {}
        self._due = 0.0
        self._failures = 0
        self._refused = False

    def pump(self) -> bool:
        """Reads when it is time to; True when lines came."""
        return self.clock() >= self._due and self._read()

    def drain(self, quiet: float, sleep: Callable[[float], None]) -> None:
        """Reads what is there, and what still comes until nothing came for `quiet` seconds.

        Ends after a minute in any case: a process that outlives its job may talk for ever.
        """
        if self._refused:
            return
        limit = self.clock() + DRAIN_LIMIT
        end = self.clock() + quiet
        self._read()
        while not self._refused and self.clock() < limit and (self.clock() < end or self._failures):
            sleep(max(0.0, self._due - self.clock()))
            if self._read():
                end = self.clock() + quiet

    def _read(self) -> bool:
        pace = self.connection.pace
        pages = 1
        try:
            entries, pages = self._entries()
        except TrainingError as error:
            self._give_way(error)
            return False
        self._failures = 0
        self._due = self.clock() + max(pace.log_poll, pages * pace.log_page)
        return self._hand_on(entries)

    def _give_way(self, error: TrainingError) -> None:
        """Waits longer each time; a refusal is told once, as a line, for the job itself runs on."""
        self._failures += 1
        self._due = self.clock() + min(60.0, self.connection.pace.log_poll * 2**self._failures)
        if not error.transient and not self._refused:
            self._refused = True
            self._due = float("inf")
            self.on_line(LogLine(self.clock(), "WARNING", f"the job's log can't be read: {error}", "service"))

    def _entries(self) -> tuple[list[LogEntry], int]:
        start = datetime.fromtimestamp(max(0.0, self._newest - self.connection.pace.log_overlap), tz=UTC)
        job_id = self.name.rpartition("/")[2]
        parts = (
            'resource.type="ml_job"',
            f'resource.labels.job_id="{job_id}"',
            f'timestamp>="{start.isoformat(timespec="microseconds").replace("+00:00", "Z")}"',
        )
        with calling(self.connection, "read the job's log", self.name):
            pager = self.connection.logs.list_log_entries(
                request={
                    "resource_names": [f"projects/{self.connection.project}"],
                    "filter": " AND ".join(parts),
                    "order_by": "timestamp asc",
                    "page_size": 1000,
                },
                retry=None,
                timeout=self.connection.pace.deadline,
            )
            pages = [list(page.entries) for page in pager.pages]
        return [entry for page in pages for entry in page], len(pages)

    def _hand_on(self, entries: Iterable[LogEntry]) -> bool:
        new = False
        for entry in entries:
            mark = _mark(entry)
            if mark in self._seen:
                continue
            new = True
            line = _line(entry)
            self._seen[mark] = None
            # A program may date its lines itself; one from the future must not hide those that follow.
            self._newest = max(self._newest, min(line.timestamp, self.clock()))
            self.tail.append(line)
            self.on_line(line)
        oldest = self._newest - 2 * self.connection.pace.log_overlap
        self._seen = {mark: None for mark in self._seen if mark[0] >= oldest}
        return new


def _mark(entry: LogEntry) -> tuple[float, str]:
    """What tells two lines apart; read below proto-plus, whose dates are slow to make for each line."""
    raw = type(entry).pb(entry)
    return raw.timestamp.seconds + raw.timestamp.nanos / 1e9, raw.insert_id or raw.text_payload


def _line(entry: LogEntry) -> LogLine:
    from google.logging.type.log_severity_pb2 import LogSeverity

    try:
        severity = LogSeverity.Name(int(entry.severity))
    except ValueError:
        severity = "DEFAULT"
    task = entry.resource.labels.get("task_name", "service")
    return LogLine(_mark(entry)[0], severity, _message(entry), task)


def _message(entry: LogEntry) -> str:
    """A line as it was printed; of a structured one its `message`, or all of it as JSON."""
    if entry.json_payload:
        payload = _plain(entry.json_payload)
        message = payload.get("message")
        text = message if isinstance(message, str) else json.dumps(payload, ensure_ascii=False)
    else:
        text = entry.text_payload
    return text.rstrip("\r\n")


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Proto-plus wraps a Struct in its own mappings and sequences; this is the plain form."""
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return value
    return [_plain(item) for item in value]
