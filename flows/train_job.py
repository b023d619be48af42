"""Step 5 of the road: one job for the run, followed to its end, and the receipt of its model.

Imported when it is reached: what it needs takes a while to load, and the first step need not wait for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prefect.logging import get_run_logger
from prefect.runtime import flow_run as current_run

from ..core.errors import JobFailed
from ..core.retry import backoff
from ..project.dependencies.freeze import Lock
from ..project.git import revision
from ..project.snapshot import Project
from ..tasks.receipt import receipt_step
from ..tasks.submit import submit
from ..tasks.watch import watch
from ..vertex.client.connection import Connection
from ..vertex.job_types import JobRequest, Origin, Outcome, Receipt
from ..vertex.submit.submission import job_key
from .concurrency import submission_turn, turn
from .step_runner import Steps

LONGEST_WAIT = 900.0
"""Seconds before another attempt at most: machines that are short now may be free in a quarter of an hour."""


def trained(
    steps: Steps,
    connection: Connection,
    request: JobRequest,
    project: Project,
    lock: Lock,
    *,
    key: list[str],
    allowed: int,
) -> tuple[Outcome, Receipt]:
    """Brings the request's job to its success, when it is this run's turn, and takes its model's receipt.

    Args:
        steps: Keeps account.
        connection: Where to.
        request: What to run.
        project: What is trained.
        lock: Its frozen dependencies.
        key: What makes this request this one, in this run.
        allowed: How many jobs may be made, from `jobs_allowed`.

    Raises:
        JobFailed: It ended without success.
        VertexError: It could not be submitted or followed, or left no model.
    """
    run = str(current_run.id)
    name = job_key(run, "submit", *key)
    with turn(project.settings.name, connection, name):
        outcome = run_job(steps, connection, request, name, allowed=allowed)
        origin = Origin(project.fingerprint, revision(project.root), lock.digest, run)
        return outcome, steps.run(receipt_step(connection, request.output), connection, outcome, origin)


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
                raise error.replace(
                    next_step=f"{error.next_step}; this was attempt {job.attempt} of {allowed}, a new run has its own"
                ) from error
            line = "attempt %d of %d failed (%s); the next one follows in %.0f s"
            get_run_logger().warning(line, job.attempt, allowed, error.kind, wait, extra={"step": "submit"})
        sleep(wait)
        least = job.attempt + 1
    raise AssertionError("the back-off never ends")
