"""Step 5, second part: follows the job to its end, with its states and log lines in the run's log."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext

from ..vertex.client.connection import Connection
from ..vertex.client.console_links import log_command
from ..vertex.diagnosis import failure
from ..vertex.job_types import Outcome, State, SubmittedJob
from ..vertex.submit.cancellation import cancel
from ..vertex.watch import watch as engine
from ..vertex.watch.job_poller import job_id
from ..vertex.watch.log_reader import Cursor
from .reporting.cost_page import ShownCost
from .reporting.failure_page import report_failure
from .reporting.log_records import LogRecords
from .reporting.logged_lines import LEFT_OUT, logged_before
from .reporting.progress import show_state
from .reporting.step_log import step_log
from .reporting.training_log import TrainingLog
from .retry_policy import STEP
from .step_results import step_result
from .stopping import run_end
from .stopping.open_jobs import OpenJobs
from .stopping.stop_job import WINDOW, stop


class WatchProgress:
    """How far a job's log was followed; a retry of `watch` with the same object continues there.

    Attributes:
        cursor: The place in the job's log.
        log: Where the lines go; None until `watch` has begun.
        cost: Shows what the run has cost so far.
    """

    def __init__(self) -> None:
        self.cursor = Cursor()
        self.log: TrainingLog | None = None
        self.cost = ShownCost(step_log("cost"))


@task(name="watch", cache_policy=NO_CACHE, result_serializer=step_result("vertex.job_types.Outcome", 2), **STEP)
def watch(connection: Connection, job: SubmittedJob, progress: WatchProgress | None = None) -> Outcome:
    """Follows the job to its end. A retry continues with the same job, and logs no line a second time.

    Cancelling this task (in Prefect's UI, by SIGTERM, Ctrl-C or a time limit) cancels the job and waits for its end. If
    the job does not end in time, a line at error level says so.

    Args:
        connection: The service that runs the job.
        job: The job.
        progress: Where an earlier attempt in this process stopped. Default: the run's log tells what was logged.

    Raises:
        JobFailed: The job ended without success; the message is a diagnosis, the detail has its last log lines.
        VertexUnavailable: Transient: the service gave no answer for too long; the job goes on.
        LocalServiceError: Transient: local_vertex stopped; the next attempt starts it and finds the job again.
    """
    log = step_log("watch")

    def show(state: State) -> None:
        log(state)
        show_state(state)

    progress = progress or WatchProgress()
    if progress.log is None:
        progress.log = _training_log(connection, job)
    try:
        outcome = engine.watch(
            connection,
            job.name,
            on_state=show,
            on_lines=progress.log.lines,
            on_cost=progress.cost.show,
            created=job.created,
            cursor=progress.cursor,
            sleep=run_end.sleep,
        )
    except Exception:
        raise
    except BaseException:
        log("the run is ending: cancelling its job")
        warn = step_log("watch", level=logging.ERROR)
        if stop(connection, partial(_cancelled, job=job), log=log, warn=warn, name=job.name):
            OpenJobs.of_this_run().stopped(job.name)
        raise
    OpenJobs.of_this_run().ended(job.name)
    progress.cost.close()
    outcome = progress.log.end(outcome)
    if outcome.state != "JOB_STATE_SUCCEEDED":
        report_failure(connection, outcome)
        raise failure(outcome)
    return outcome


def _training_log(connection: Connection, job: SubmittedJob) -> TrainingLog:
    """Where the job's lines go; what earlier attempts in this process or another one have written is not repeated."""
    context, own = TaskRunContext.get(), job_id(job.name)
    retried = job.adopted or (context is not None and context.task_run.run_count > 1)
    left_out = step_log("watch", level=logging.WARNING, name=f"{own}.{LEFT_OUT}")
    records = LogRecords(step_log("watch", name=own), left_out, log_command(connection, job.name))
    return TrainingLog(records, logged_before(own) if retried else None)


def _cancelled(connection: Connection, *, job: SubmittedJob) -> list[SubmittedJob]:
    state = cancel(connection, job.name, wait=0.0, patience=WINDOW)
    return [replace(job, state=state, console=connection.console(job.name))]
