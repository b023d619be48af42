"""Step 5 of the train flow: runs one job to its end and records its model.

Imported when that step begins: its own imports take a while, for which the first step shouldn't wait.
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
from ..tasks.watch import WatchProgress, watch
from ..vertex.client.connection import Connection
from ..vertex.job_types import JobRequest, Origin, Outcome, Receipt
from ..vertex.submit.submission import job_key
from .concurrency import submission_turn, turn
from .step_runner import Steps

LONGEST_WAIT = 900.0
"""Longest wait before another attempt, seconds: machines that are short now may be free in a quarter of an hour."""


def run_and_record(
    steps: Steps,
    connection: Connection,
    request: JobRequest,
    project: Project,
    lock: Lock,
    *,
    key: list[str],
    allowed: int,
) -> tuple[Outcome, Receipt]:
    """Waits for this run's turn, runs the job until one succeeds, and records its model.

    Args:
        steps: Runs the steps and keeps their reports.
        connection: Connection to where the job runs.
        request: The job.
        project: The project that is trained.
        lock: The project's frozen dependencies.
        key: Parts of the job's key, besides the run: what makes the request different from others of this run.
        allowed: How many jobs may be created, from `jobs_allowed`.

    Raises:
        JobFailed: The job ended without success.
        VertexError: The job could not be submitted or watched, or saved no model.
    """
    run = str(current_run.id)
    name = job_key(run, "submit", *key)
    with turn(project.settings.name, connection, name):
        outcome = run_job(steps, connection, request, name, allowed=allowed)
        origin = Origin(
            project.fingerprint, revision(project.root), lock.digest, run, verified=project.settings.verify != "off"
        )
        return outcome, steps.run(receipt_step(connection, request), connection, outcome, origin)


def run_job(
    steps: Steps,
    connection: Connection,
    request: JobRequest,
    key: str,
    *,
    allowed: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Submits and watches jobs until one succeeds; at most `allowed` are created, whoever retries.

    Args:
        steps: Runs the steps and keeps their reports.
        connection: Connection to where the jobs run.
        request: The job.
        key: The request's key.
        allowed: How many jobs may be created, from `jobs_allowed`.
        sleep: Waits that many seconds.

    Raises:
        JobFailed: The user must fix the failure, or it was the last attempt allowed.
        VertexError: As the steps `submit` and `watch`.
    """
    least = 1
    steps.progress.expect_machine("" if connection.endpoint.local else str(request.machine), request.max_wait)
    for wait in backoff(base=connection.settle, limit=LONGEST_WAIT):
        submission_turn(connection)
        job = steps.run(submit, connection, request, key, allowed, least)
        try:
            return steps.run(watch, connection, job, WatchProgress())
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
