"""Step 5, second half: the job's states and lines until it ended."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE

from ..vertex.client.connection import Connection
from ..vertex.diagnosis import failure
from ..vertex.job_types import Outcome, SubmittedJob
from ..vertex.submit.cancellation import cancel
from ..vertex.watch import watch as engine
from ..vertex.watch.job_poller import job_id
from ..vertex.watch.log_reader import Cursor
from .reporting.failure_page import report_failure
from .reporting.logged_lines import printed
from .reporting.step_log import step_log
from .reporting.training_log import TrainingLog
from .retry_policy import STEP
from .stop_job import WINDOW, stop

_BEGUN: dict[str, tuple[Cursor, TrainingLog]] = {}
"""Watches of this process that stopped before their job's end, for their retries."""


@task(name="watch", cache_policy=NO_CACHE, **STEP)
def watch(connection: Connection, job: SubmittedJob) -> Outcome:
    """Follows the job to its end; a retry takes up where the job is by then.

    Cancelling this task (from Prefect's UI, by SIGTERM, Ctrl-C or a time limit) cancels the job and sees it end, or
    says at error level that it may run on. What an earlier attempt printed of the job's log is not printed again.

    Raises:
        JobFailed: It ended without success; the message is a diagnosis, the detail its last lines.
        VertexUnavailable: Transient: the service was out of reach for too long, the job goes on.
        LocalServiceError: Transient: local_vertex stopped; the next try starts it and finds the job again.
    """
    log = step_log("watch")
    show = step_log("watch", name=job_id(job.name))
    cursor, shown = _BEGUN.setdefault(job.name, (Cursor(), TrainingLog(show, printed=_printed(job))))
    try:
        outcome = engine.watch(
            connection, job.name, on_state=log, on_line=shown.line, created=job.created, cursor=cursor
        )
    except Exception:
        raise
    except BaseException:
        log("the run is ending: cancelling its job")
        shout = step_log("watch", level=logging.ERROR)
        stop(connection, partial(_ended, job=job), log=log, shout=shout, what=job.name)
        raise
    del _BEGUN[job.name]
    shown.end(outcome)
    if outcome.state != "JOB_STATE_SUCCEEDED":
        report_failure(connection, outcome)
        raise failure(outcome)
    return outcome


def _printed(job: SubmittedJob) -> list[str]:
    """What an earlier attempt, in this process or another, has put of the job's lines into the run's log."""
    return printed(job_id(job.name)) if job.adopted and job.name not in _BEGUN else []


def _ended(connection: Connection, *, job: SubmittedJob) -> list[SubmittedJob]:
    state = cancel(connection, job.name, wait=WINDOW)
    return [replace(job, state=state, console=connection.console(job.name))]
