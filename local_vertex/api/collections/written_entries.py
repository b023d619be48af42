"""WriteLogEntries and ListLogs: entries that clients write themselves, such as google-cloud-logging inside a job."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import quote, unquote

from ...location import Locations
from ...store.records import LogEntry
from ...store.store import Store
from ..fields.severities import SEVERITIES
from ..names import Caller
from ..schema import Generated, Schema
from ..status import ApiError, Code, denied, unimplemented

_V2 = "google.logging.v2"
_LOG = re.compile(r"projects/(?P<project>[^/]+)/logs/(?P<log>[^/]{1,512})")
_NAMES = {number: name for name, number in SEVERITIES.items()}


class WrittenEntriesApi:
    """The methods.

    Args:
        store: The entries.
        locations: The projects that are served.
        schema: The message classes.
    """

    def __init__(self, *, store: Store, locations: Locations, schema: Schema) -> None:
        self._store = store
        self._locations = locations
        self._schema = schema

    def write(self, request: Generated, caller: Caller) -> Generated:  # noqa: ARG002 - every method takes the caller
        """WriteLogEntries: all entries or none."""
        made = [self._entry(request, entry) for entry in request.entries]
        if not request.dry_run:
            for job, entry in made:
                self._store.append_logs(job, [entry])
        return self._schema[f"{_V2}.WriteLogEntriesResponse"]()

    def list_logs(self, request: Generated, caller: Caller) -> Generated:  # noqa: ARG002
        """ListLogs: in one page."""
        found = re.fullmatch(r"projects/([^/]+)", request.parent)
        project = self._locations.project(found[1]) if found else None
        if project is None:
            raise denied("logging.logs.list", request.parent, "logging.googleapis.com")
        response = self._schema[f"{_V2}.ListLogsResponse"]()
        response.log_names.extend(f"projects/{project}/logs/{quote(task, safe='')}" for task in self._store.log_names())
        return response

    def _entry(self, request: Generated, entry: Generated) -> tuple[str, LogEntry]:
        """An entry, with what the request says of all of them, and the id of its job."""
        name = entry.log_name or request.log_name
        found = _LOG.fullmatch(name)
        if found is None:
            raise ApiError(Code.INVALID_ARGUMENT, f"`{name}` is not the name of a log, projects/PROJECT/logs/LOG")
        project = self._locations.project(found["project"])
        if project is None:
            raise denied("logging.logEntries.create", f"projects/{found['project']}", "logging.googleapis.com")
        resource = entry.resource if entry.HasField("resource") else request.resource
        kind = resource.type or "global"
        labels = {**request.labels, **entry.labels}
        job = resource.labels.get("job_id", "") if kind == "ml_job" else ""
        if job and self._store.get(job) is None:
            job = ""
        moment = entry.timestamp.ToMicroseconds() / 1e6 if entry.HasField("timestamp") else time.time()
        extra = {"project": project, "type": kind, "resource": dict(resource.labels), "labels": labels}
        severity = _NAMES.get(entry.severity, "DEFAULT")
        return job, LogEntry(moment, severity, unquote(found["log"]), self._payload(entry), extra)

    def _payload(self, entry: Generated) -> str | dict[str, Any]:
        kind = entry.WhichOneof("payload")
        if kind == "json_payload":
            return self._schema.to_json(entry.json_payload)
        if kind == "proto_payload":
            raise unimplemented("protoPayload", "Write textPayload or jsonPayload.")
        return entry.text_payload
