"""The records of the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

TERMINAL = (
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
)
"""States in which a job has ended."""


@dataclass(slots=True)
class JobRecord:
    """One custom job.

    Attributes:
        id: Digits; the last part of the resource name.
        display_name: The name for people.
        labels: As the client sent them.
        spec: CustomJobSpec in proto JSON form: snake_case field names, enums as names, durations as "3600s".
        state: `JOB_STATE_...`.
        create_time: Seconds since 1970, like every time here.
        start_time: When it was first RUNNING.
        end_time: When it reached a terminal state.
        update_time: When the record last changed.
        error_code: A google.rpc.Code, for a job that failed or was cancelled.
        error_message: The error text for that code.
        attempt: Number of the running attempt; 0 before the first.
        cancel_requested: Whether a client has cancelled it.
        detail: State of the executor that must survive a restart of the service.
        message: The client's CustomJob as serialized protobuf.
        project: The project's id; empty for a job of a version that served one project only, like the next two.
        project_number: The project's number.
        region: The region.
    """

    id: str
    display_name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    state: str = "JOB_STATE_PENDING"
    create_time: float | None = None
    start_time: float | None = None
    end_time: float | None = None
    update_time: float | None = None
    error_code: int | None = None
    error_message: str | None = None
    attempt: int = 0
    cancel_requested: bool = False
    detail: dict[str, Any] = field(default_factory=dict)
    message: bytes = b""
    project: str = ""
    project_number: str = ""
    region: str = ""


class LogEntry(NamedTuple):
    """One log entry of a job.

    Attributes:
        timestamp: Seconds since 1970.
        severity: A severity of Cloud Logging, for example "INFO".
        task: Name of the replica, for example "workerpool0-0", or "service" for messages of the service.
        payload: The line's text, or the object if the line is a JSON object.
        extra: What a client's own entry has besides (WriteLogEntries): its `resource` and `labels`; None for the
            entries of jobs.
    """

    timestamp: float
    severity: str
    task: str
    payload: str | dict[str, Any]
    extra: dict[str, Any] | None = None


class StoredEntry(NamedTuple):
    """A log entry with its sequence number, which increases in the order of arrival."""

    seq: int
    job_id: str
    entry: LogEntry


@dataclass(slots=True)
class ResourceRecord:
    """A resource besides custom jobs: a training pipeline or a persistent resource.

    Attributes:
        kind: The collection in resource names, for example "trainingPipelines".
        project: The project's id.
        region: The region.
        id: The last part of the resource name.
        display_name: The name for people.
        labels: As the client sent them.
        state: Without a job; with one, the job's.
        job: The id of the custom job that does the work; empty for none.
        message: The client's message, serialized.
        create_time: Seconds since 1970, like every time here.
        start_time: The job's.
        end_time: The job's.
        update_time: When it, or its job, last changed.
        error_code: The job's.
        error_message: The job's.
    """

    kind: str
    project: str
    region: str
    id: str
    display_name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    state: str = ""
    job: str = ""
    message: bytes = b""
    create_time: float = 0.0
    start_time: float | None = None
    end_time: float | None = None
    update_time: float = 0.0
    error_code: int | None = None
    error_message: str | None = None
