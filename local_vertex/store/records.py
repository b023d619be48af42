"""What the store holds, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TERMINAL = (
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
)
"""States that never change again."""


@dataclass(slots=True)
class JobRecord:
    """One custom job.

    Attributes:
        id: Digits, as in the last part of its name.
        display_name: What people see.
        labels: As the client sent them.
        spec: CustomJobSpec in proto JSON form: snake_case field names, enums as names, durations as "3600s".
        state: `JOB_STATE_...`.
        create_time: Seconds since 1970, like every time here.
        start_time: When it was RUNNING for the first time.
        end_time: When it reached a terminal state.
        update_time: When anything here last changed.
        error_code: A google.rpc.Code, for a job that failed or was cancelled.
        error_message: The service's own words.
        attempt: Which try is running, from 1; 0 before the first.
        cancel_requested: A client asked to cancel it.
        detail: Durable notes of whoever runs the job.
        message: The client's CustomJob as serialized protobuf; opaque here.
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


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of a job.

    Attributes:
        timestamp: Seconds since 1970.
        severity: As Cloud Logging names it.
        task: "workerpool0-0", or "service" for the platform's own lines.
        payload: Text, or the object of a line that was JSON.
    """

    timestamp: float
    severity: str
    task: str
    payload: str | dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A line with its place in the store: `seq` only grows, in the order of arrival."""

    seq: int
    job_id: str
    entry: LogEntry
