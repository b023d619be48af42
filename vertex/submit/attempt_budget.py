"""How many jobs a budget of attempts allows; plain arithmetic, so it is known before anything is built."""

from __future__ import annotations

from ...core.errors import VertexError
from ...core.job_options import JobOptions
from ..job_types import JobDescription

_CRASHES, _STOCK_OUTS, _INTERNAL, _PREEMPTIONS = 3, 3, 2, 6
"""How often Vertex AI restarts a job for each reason, where restarts are allowed."""


def starts_of_a_job(job: JobOptions) -> int:
    """How often one job may start the program at most, including Vertex AI's own restarts."""
    if job.restarts == "none":
        return 1
    return 1 + _CRASHES + _STOCK_OUTS + _INTERNAL + (_PREEMPTIONS if job.strategy == "SPOT" else 0)


def jobs_allowed(job: JobDescription, attempts: int) -> int:
    """How many jobs may be created for a request so that its program is started at most `attempts` times.

    Raises:
        VertexError: Not even one job is allowed: Vertex AI itself may restart it more often than that.
    """
    starts = starts_of_a_job(job)
    if attempts < starts:
        raise VertexError(
            f"attempts: {attempts} allowed, and with restarts = {job.restarts!r} and strategy {job.strategy}"
            f" Vertex AI itself may start one job {starts} times",
            where=job.display_name,
            next_step=f"Set attempts to {starts} or more, or restarts to 'none'",
            kind="invalid_request",
        )
    return attempts // starts
