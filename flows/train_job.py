"""Step 5 of the train flow: runs one job to its end and records its model.

Imported when that step begins: its own imports take a while, for which the first step shouldn't wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from prefect.runtime import flow_run as current_run

from ..core.errors import JobFailed
from ..core.retry import backoff
from ..datasets.data_record import DataRecord, data_facts
from ..project.dependencies.freeze import Lock
from ..project.git import revision
from ..project.snapshot import Project
from ..run_history import run_scope
from ..tasks.receipt import receipt_step, storage_page
from ..tasks.reporting.links import run_page
from ..tasks.reporting.step_log import step_log
from ..tasks.stopping.stop_job import job_ends_with_run
from ..tasks.submit import submit
from ..tasks.watch import WatchProgress, watch
from ..vertex.client.connection import Connection
from ..vertex.client.console_links import log_link
from ..vertex.job_types import JobRequest, Origin, Outcome, Receipt
from ..vertex.resume.earlier_run import EarlierRun
from ..vertex.resume.resume_point import with_resume_point
from ..vertex.submit.submission import job_key
from .concurrency import submission_turn, turn
from .step_runner import Steps

if TYPE_CHECKING:
    from .listed_places.listed_run import FallbackRun

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
    data: Sequence[DataRecord] = (),
    earlier: EarlierRun | None = None,
    fallback: FallbackRun | None = None,
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
        data: The data sets that the job reads.
        earlier: The run whose checkpoints this one takes up.
        fallback: The run's fall-back list; None for a run without one.

    Raises:
        JobFailed: The job ended without success.
        VertexError: The job could not be submitted or watched, or saved no model.
    """
    run = str(current_run.id)
    # With another cap it is still the same request, whose jobs have used up a part of it.
    settings = asdict(project.settings.job)
    scope = run_scope(*key, *sorted(f"{name}={value}" for name, value in settings.items() if name != "max_cost"))
    name = job_key(scope.key, "submit", *key)
    services = [connection] if fallback is None else fallback.connections().values()
    with turn(project.settings.name, connection, name), job_ends_with_run(services, name):
        if fallback is not None:
            connection, request, outcome = fallback.run(steps, name, allowed=allowed, retry=scope.retries)
        else:
            outcome = run_job(steps, connection, request, name, allowed=allowed, retry=scope.retries, earlier=earlier)
        origin = Origin(
            project.fingerprint,
            revision(project.root),
            lock.digest,
            run,
            verified=project.settings.verify != "off",
            data=[data_facts(each) for each in data],
        )
        return outcome, steps.run(receipt_step(connection, request), connection, outcome, origin)


def pages_of(connection: Connection, job: str, model: str) -> dict[str, str]:
    """Addresses of a run's pages in a browser, by what they show; only those that exist."""
    pages = {
        "run": run_page(str(current_run.id)),
        "job": connection.console(job),
        "log": log_link(connection, job),
        "model": storage_page(model) if model.startswith("gs://") else "",
    }
    return {what: page for what, page in pages.items() if page}


def run_job(
    steps: Steps,
    connection: Connection,
    request: JobRequest,
    key: str,
    *,
    allowed: int,
    retry: int = 0,
    earlier: EarlierRun | None = None,
    watching: Callable[[], WatchProgress] = WatchProgress,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Submits and watches jobs until one succeeds; at most `allowed` are created, whatever is retried automatically.

    Args:
        steps: Runs the steps and keeps their reports.
        connection: Connection to where the jobs run.
        request: The job.
        key: The request's key.
        allowed: How many jobs may be created, from `jobs_allowed`.
        retry: How often a person has retried the run: each retry may create at least one more.
        earlier: The run whose checkpoints this one takes up.
        watching: Makes what follows a job, and may end it early.
        sleep: Waits that many seconds.

    Raises:
        JobFailed: The user must fix the failure, or it was the last attempt allowed.
        VertexError: As the steps `submit` and `watch`.
    """
    least = 1
    steps.progress.expect_machine("" if connection.endpoint.local else str(request.machine), request.max_wait)
    for wait in backoff(base=connection.settle, limit=LONGEST_WAIT):
        submission_turn(connection)
        request = with_resume_point(connection, request, earlier, step_log("resume"))
        job = steps.run(submit, connection, request, key, allowed=allowed, least=least, retry=retry)
        try:
            return steps.run(watch, connection, job, watching())
        except JobFailed as error:
            if not error.retryable:
                raise
            if job.attempt >= job.allowed:
                budget = f"this was attempt {job.attempt} of {job.allowed}; Retry by a person starts another one"
                raise error.replace(next_step=f"{error.next_step}; {budget}") from error
            failed = f"attempt {job.attempt} of {job.allowed}" if job.attempt else "the job from before the retry"
            warn = step_log("submit", level=logging.WARNING)
            warn(f"{failed} failed ({error.kind}); the next one follows in {wait:.0f} s")
        sleep(wait)
        least = job.attempt + 1
    raise AssertionError("the back-off never ends")
