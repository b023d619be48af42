"""Times and errors of jobs in messages, in the precision in which the real service was seen to give them."""

from __future__ import annotations

import math
from typing import Protocol

from ..schema import Generated


class Timed(Protocol):
    """A record of the store with the times and the error of a job."""

    state: str
    start_time: float | None
    end_time: float | None
    error_code: int | None
    error_message: str | None

    @property
    def create_time(self) -> float | None:
        """Seconds since 1970, like every time here."""
        ...

    @property
    def update_time(self) -> float | None:
        """When the record, or its job, last changed."""
        ...


def set_times(message: Generated, record: Timed) -> None:
    """Sets the times of a CustomJob or TrainingPipeline, and its error.

    Create and update times have microseconds. Start and end are whole seconds, rounded down, so a short job can end
    before its create time; those of a cancelled job have microseconds, except the start of one that ran.
    """
    is_cancelled = record.state == "JOB_STATE_CANCELLED"
    for field in ("create_time", "update_time"):
        set_time(getattr(message, field), getattr(record, field))
    for field in ("start_time", "end_time"):
        value = getattr(record, field)
        if value is not None:
            set_time(getattr(message, field), value if is_cancelled else math.floor(value))
    if record.error_code is not None:
        message.error.code = record.error_code
        message.error.message = record.error_message or ""


def set_time(field: Generated, seconds: float | None) -> None:
    """Sets a Timestamp, in microseconds."""
    field.FromMicroseconds(round((seconds or 0.0) * 1_000_000))
