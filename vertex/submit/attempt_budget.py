"""How many jobs a budget of attempts allows: pure arithmetic, known before anything is built."""

from __future__ import annotations

from ...core.errors import VertexError
from ..job_types import JobRequest

_CRASHES, _STOCK_OUTS, _INTERNAL, _PREEMPTIONS = 3, 3, 2, 6
"""How often Vertex AI itself may start a job again for each reason, when it may at all."""


def starts_of_a_job(request: JobRequest) -> int:
    """How often one job may start the program at worst, Vertex AI's own restarts included."""
    if request.restarts == "none":
        return 1
    return 1 + _CRASHES + _STOCK_OUTS + _INTERNAL + (_PREEMPTIONS if request.strategy == "SPOT" else 0)


def jobs_allowed(request: JobRequest, attempts: int) -> int:
    """How many jobs may be made for a request, so that its program is started at most `attempts` times.

    Raises:
        VertexError: Not even one: Vertex AI's own restarts may be more than that.
    """
    starts = starts_of_a_job(request)
    if attempts < starts:
        raise VertexError(
            f"attempts: {attempts} allowed, and with restarts = {request.restarts!r} and strategy {request.strategy}"
            f" Vertex AI itself may start one job {starts} times",
            where=request.display_name,
            next_step=f"Set attempts to {starts} or more, or restarts to 'none'",
            kind="invalid_request",
        )
    return attempts // starts
