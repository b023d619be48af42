"""Submitting and watching a request's job, and the next one's where the platform failed and the budget allows."""

from __future__ import annotations

import time
from collections.abc import Callable

from prefect.logging import get_run_logger

from ..core.errors import JobFailed
from ..core.retry import backoff
from ..tasks.submit import submit
from ..tasks.watch import watch
from ..vertex.connection import Connection
from ..vertex.model import JobRequest, Outcome
from .limits import submission_turn
from .steps import Steps

LONGEST_WAIT = 900.0
"""Seconds before another attempt at most: machines that are short now may be free in a quarter of an hour."""


def run_job(
    steps: Steps,
    connection: Connection,
    request: JobRequest,
    key: str,
    *,
    allowed: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Brings one job of the request to its success; not more than `allowed` are made, whoever retries.

    Args:
        steps: Keeps account.
        connection: Where to.
        request: What to run.
        key: The request's.
        allowed: From `jobs_allowed`.
        sleep: Waits that many seconds.

    Raises:
        JobFailed: The user's to mend, or the last attempt allowed.
        VertexError: As the steps `submit` and `watch`.
    """
    least = 1
    for wait in backoff(base=connection.settle, limit=LONGEST_WAIT):
        submission_turn(connection)
        job = steps.run(submit, connection, request, key, allowed, least)
        try:
            return steps.run(watch, connection, job)
        except JobFailed as error:
            if not error.retryable:
                raise
            if job.attempt >= allowed:
                error.next_step = (
                    f"{error.next_step}; this was attempt {job.attempt} of {allowed}, a new run has its own"
                )
                raise
            line = "attempt %d of %d failed (%s); the next one follows in %.0f s"
            get_run_logger().warning(line, job.attempt, allowed, error.kind, wait, extra={"step": "submit"})
        sleep(wait)
        least = job.attempt + 1
    raise AssertionError("the back-off never ends")
