"""Step 5, second part: follows the job to its end, with its states and log lines in the run's log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext

from ..vertex.client.calls import get, seconds
from ..vertex.client.connection import Connection
from ..vertex.client.console_links import log_command
from ..vertex.diagnosis import failure
from ..vertex.job_types import TERMINAL, LogLine, Outcome, State, SubmittedJob
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

if TYPE_CHECKING:
    from ..vertex.watch.watch import Leave


class Judge(Protocol):
    """Decides whether a running job goes on to its end."""

    def verdict(self, lines: Sequence[LogLine]) -> str:
        """Why the job should end now; empty while it should go on.

        Args:
            lines: The new lines of its log; none where only time has passed.
        """
        ...


class WatchProgress:
    """How far a job's log was followed; a retry of `watch` with the same object continues there.

    Attributes:
        cursor: The place in the job's log.
        log: Where the lines go; None until `watch` has begun.
        cost: Shows what the run has cost so far.
        ended_early: Why the job was ended before its own end; empty if it was not.

    Args:
        judge: Decides whether the job goes on. Default: it does.
    """

    def __init__(self, judge: Judge | None = None) -> None:
        self.cursor = Cursor()
        self.log: TrainingLog | None = None
        self.cost = ShownCost(step_log("cost"))
        self.ended_early = ""
        self._judge = judge

    def lines(self, lines: Sequence[LogLine]) -> None:
        """Passes on new lines.

        Raises:
            EndEarly: The job should not go on.
        """
        assert self.log is not None
        self.log.lines(lines)
        self.consider(lines)

    def consider(self, lines: Sequence[LogLine] = ()) -> None:
        """Asks the judge, who is asked no more once the job has to end.

        Raises:
            EndEarly: The job should not go on.
        """
        if self._judge and not self.ended_early and (reason := self._judge.verdict(lines)):
            self.ended_early = reason
            raise EndEarly(reason)


class EndEarly(Exception):
    """A running job is to be ended."""


@task(name="watch", cache_policy=NO_CACHE, result_serializer=step_result("vertex.job_types.Outcome", 2), **STEP)
def watch(
    connection: Connection, job: SubmittedJob, progress: WatchProgress | None = None, leave: Leave | None = None
) -> Outcome:
    """Follows the job to its end. A retry continues with the same job, and logs no line a second time.

    Cancelling this task (in Prefect's UI, by SIGTERM, Ctrl-C or a time limit) cancels the job and waits for its end. If
    the job does not end in time, a line at error level says so.

    Args:
        connection: The service that runs the job.
        job: The job.
        progress: Where an earlier attempt in this process stopped. Default: the run's log tells what was logged.
        leave: As `vertex.watch.watch`; a job that is left counts as a failure, of a kind that the list knows.

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
            on_lines=progress.lines,
            on_cost=progress.cost.show,
            created=job.created,
            cursor=progress.cursor,
            leave=leave,
            sleep=partial(_pause, progress),
        )
    except EndEarly as early:
        log(f"ending the job: {early}")
        outcome = _ended_early(connection, job, str(early))
        OpenJobs.of_this_run().ended(job.name)
        progress.cost.close()
        log(f"{outcome.state}: {job.name}")
        progress.cost.close()
        progress.ended_early = "" if outcome.state == "JOB_STATE_SUCCEEDED" else progress.ended_early
        return progress.log.end(outcome)
    except Exception:
        raise
    except BaseException:
        log("the run is ending: cancelling its job")
        warn = step_log("watch", level=logging.ERROR)
        if stop(connection, partial(_cancelled, job=job), log=log, warn=warn, name=job.name):
            OpenJobs.of_this_run().stopped(job.name)
        raise
    if outcome.state not in TERMINAL:
        raise failure(outcome)
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


def _pause(progress: WatchProgress, seconds: float) -> None:
    run_end.sleep(seconds)
    progress.consider()


def _ended_early(connection: Connection, job: SubmittedJob, reason: str) -> Outcome:
    """Cancels the job, and returns when its end is confirmed; it may have ended by itself meanwhile.

    Raises:
        VertexUnavailable: Transient: the service gave no answer, or the job has not ended in time.
    """
    state = cancel(connection, job.name, sleep=run_end.sleep)
    ended = get(connection, job.name)
    begin, end = seconds(ended.start_time), seconds(ended.end_time)
    return Outcome(job.name, state, error=reason, seconds=max(0.0, end - begin) if begin and end else 0.0)


def _cancelled(connection: Connection, *, job: SubmittedJob) -> list[SubmittedJob]:
    state = cancel(connection, job.name, wait=0.0, patience=WINDOW)
    return [replace(job, state=state, console=connection.console(job.name))]
