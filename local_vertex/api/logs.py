"""The methods of Cloud Logging for the log entries of local jobs: ListLogEntries and TailLogEntries.

https://cloud.google.com/logging/docs/reference/v2/rpc/google.logging.v2#loggingservicev2
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..faults import Faults
from ..location import Locations
from ..store.records import StoredEntry
from ..store.store import Store
from .fields.entry_labels import shown_labels
from .fields.severities import SEVERITIES
from .names import Caller
from .schema import Generated, Schema
from .status import ApiError, Code, denied

if TYPE_CHECKING:
    from .filters import Condition

_V2 = "google.logging.v2"
PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_ORDERS = {"": (">", "ASC"), "timestamp asc": (">", "ASC"), "timestamp desc": ("<", "DESC")}
# What entries can be listed of: a project, or one of its log buckets or their views.
_RESOURCE = re.compile(r"projects/(?P<project>[^/]+)(?:/locations/[^/]+/buckets/[^/]+(?:/views/[^/]+)?)?")
_WAIT_SECONDS = 0.5  # after at most this time an idle stream notices that its client is gone


class LogsApi:
    """The methods; each takes a request message and returns response messages or raises `ApiError`."""

    def __init__(self, *, store: Store, faults: Faults, locations: Locations, schema: Schema) -> None:
        self._store = store
        self._faults = faults
        self._locations = locations
        self._schema = schema
        self._tailing = 0
        self._lock = threading.Lock()

    def list(self, request: Generated, caller: Caller) -> Generated:  # noqa: ARG002 - every method takes the caller
        """ListLogEntries: oldest first, or newest first with order_by "timestamp desc"."""
        from . import queries

        if not 0 <= request.page_size <= MAX_PAGE_SIZE:
            raise ApiError(Code.INVALID_ARGUMENT, f"page_size must be between 0 and {MAX_PAGE_SIZE}")
        if request.order_by not in _ORDERS:
            raise ApiError(Code.INVALID_ARGUMENT, 'order_by must be "timestamp asc" or "timestamp desc"')
        sign, direction = _ORDERS[request.order_by]
        where, values = self._condition(request)
        query = ("entries", *request.resource_names, request.filter, direction)
        try:
            position = queries.page_position(request.page_token, query, 2)
        except queries.PageTokenError as error:
            raise ApiError(Code.INVALID_ARGUMENT, f"page_token: {error}") from error
        if position is not None:
            # First, because SQLite takes the first bound that it finds to enter the index: with the filter's own bound
            # a page would take the longer, the later it comes.
            where, values = f"(timestamp, seq) {sign} (?, ?) AND ({where})", [*position, *values]
        size = request.page_size or PAGE_SIZE
        found = self._store.find_logs(where, values, order=f"timestamp {direction}, seq {direction}", limit=size + 1)
        response = self._schema[f"{_V2}.ListLogEntriesResponse"]()
        self._fill(response, found[:size])
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = queries.page_token([last.entry.timestamp, last.seq], query)
        return response

    def tail(self, requests: Iterator[Any], is_active: Callable[[], bool]) -> Iterator[Any]:
        """TailLogEntries: yields new entries as soon as they arrive.

        Args:
            requests: The client's messages; the first contains the filter.
            is_active: Returns False when the client is gone or the service stops.
        """
        request = next(requests, None)
        if request is None:
            raise ApiError(Code.INVALID_ARGUMENT, "The stream must begin with a request")
        where, values = self._condition(request)
        with self._session():
            seen = self._store.last_log()
            while is_active():
                if not self._store.wait_for_logs(seen, _WAIT_SECONDS):
                    continue
                newest = self._store.last_log()
                while seen < newest:
                    new = self._store.find_logs(
                        f"({where}) AND seq > ? AND seq <= ?", [*values, seen, newest], limit=MAX_PAGE_SIZE
                    )
                    if new:
                        response = self._schema[f"{_V2}.TailLogEntriesResponse"]()
                        self._fill(response, sorted(new, key=lambda line: (line.entry.timestamp, line.seq)))
                        yield response
                    seen = new[-1].seq if len(new) == MAX_PAGE_SIZE else newest

    def _condition(self, request: Generated) -> Condition:
        # Late: a service that nobody asks for entries yet is ready sooner.
        from .filters import FilterError
        from .log_filters import compile_logs

        projects = self._projects(request.resource_names)
        try:
            where, values = compile_logs(request.filter, projects[0])
        except FilterError as error:
            raise ApiError(Code.INVALID_ARGUMENT, f"Unparseable filter: {error}") from error
        if len(self._locations.projects) == 1:
            return where, values
        marks = ", ".join("?" * len(projects))
        owner = (
            "CASE WHEN extra IS NULL THEN (SELECT project FROM jobs WHERE id = job_id)"
            " ELSE json_extract(extra, '$.project') END"
        )
        return f"({where}) AND {owner} IN ({marks})", [*values, *projects]

    def _projects(self, names: Iterable[str]) -> list[str]:
        """The ids of the projects whose entries a request asks for."""
        if not names:
            raise ApiError(Code.INVALID_ARGUMENT, "resource_names is required")
        projects = []
        for name in names:
            found = _RESOURCE.fullmatch(name)
            project = self._locations.project(found["project"]) if found else None
            if project is None:
                raise denied("logging.logEntries.list", name, "logging.googleapis.com")
            projects.append(project)
        return projects

    @contextmanager
    def _session(self) -> Iterator[None]:
        limit = self._faults.tail_sessions
        with self._lock:
            if self._tailing >= limit:
                text = f"Too many tail sessions: a project can have {limit} at a time"
                raise ApiError(Code.RESOURCE_EXHAUSTED, text)
            self._tailing += 1
        try:
            yield
        finally:
            with self._lock:
                self._tailing -= 1

    def _fill(self, response: Generated, lines: Iterable[StoredEntry]) -> None:
        owners: dict[str, str] = {}
        for line in lines:
            entry, extra = line.entry, line.entry.extra
            project = extra["project"] if extra else self._owner(line.job_id, owners)
            message = response.entries.add(
                log_name=f"projects/{project}/logs/{quote(entry.task, safe='')}",
                insert_id=f"{line.seq:020d}",
                severity=SEVERITIES.get(entry.severity, 0),
            )
            message.timestamp.FromMicroseconds(round(entry.timestamp * 1_000_000))
            message.receive_timestamp.CopyFrom(message.timestamp)
            if extra:
                message.resource.type = extra["type"]
                message.resource.labels.update(extra["resource"])
                message.labels.update(extra["labels"])
            else:
                message.resource.type = "ml_job"
                message.resource.labels.update(job_id=line.job_id, task_name=entry.task, project_id=project)
                message.labels.update(shown_labels(line.job_id, entry.task, entry.payload))
            if isinstance(entry.payload, str):
                message.text_payload = entry.payload
            else:
                message.json_payload.update(entry.payload)

    def _owner(self, job_id: str, known: dict[str, str]) -> str:
        """The id of the project of a job; with one project only, no job has to be looked up."""
        if len(self._locations.projects) == 1:
            return self._locations.default.project_id
        if job_id not in known:
            record = self._store.get(job_id)
            known[job_id] = record.project if record and record.project else self._locations.default.project_id
        return known[job_id]
