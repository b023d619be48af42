"""Follows a tuning job to its end, in place of `watch`: its trials are jobs that the service makes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE

from ...core.errors import JobFailed, TrainingError
from ...vertex.client.calls import patiently
from ...vertex.job_types import SubmittedJob
from ...vertex.submit.cancellation import cancel
from ...vertex.tuning.tuning_connection import TuningConnection
from ...vertex.tuning.tuning_trials import TuningState, read_tuning
from ..reporting.step_log import LogFunction, step_log
from ..retry_policy import STEP
from ..step_results import step_result
from ..stopping import run_end
from ..stopping.open_jobs import OpenJobs
from ..stopping.stop_job import WINDOW, stop

Show = Callable[[TuningState], None]


@task(
    name="tune",
    cache_policy=NO_CACHE,
    result_serializer=step_result("vertex.tuning.tuning_trials.TuningState"),
    **{**STEP, "persist_result": False},
)
def follow_tuning(connection: TuningConnection, job: SubmittedJob, metric: str, show: Show) -> TuningState:
    """Follows the tuning job to its end; cancelling this task cancels it and its trials.

    Args:
        connection: The service that runs it.
        job: The tuning job.
        metric: Name of the metric.
        show: Called with what is known after every read; what it raises ends the tuning job.

    Raises:
        JobFailed: It ended without success, and no trial of it has a metric.
        VertexUnavailable: Transient: the service gave no answer for too long; the tuning job goes on.
    """
    log = step_log("tune")
    state = ""
    try:
        while True:
            found = patiently(
                partial(read_tuning, connection, job.name, metric), connection, clock=time.time, sleep=run_end.sleep
            )
            if found.state != state:
                state = found.state
                log(state)
            try:
                show(found)
            except TrainingError:
                if not found.ended:
                    _cancel(connection, job, log, "cancelling the tuning job and its trials")
                raise
            if found.ended:
                break
            run_end.sleep(max(connection.poll, 0.2))
    except Exception:
        raise
    except BaseException:
        _cancel(connection, job, log, "the run is ending: cancelling the tuning job and its trials")
        raise
    OpenJobs.of_this_run().ended(job.name)
    if found.state != "JOB_STATE_SUCCEEDED" and not any(each.value is not None for each in found.trials):
        reasons = [found.error or "no trial has a metric", *(each.reason for each in found.trials if each.reason)]
        raise JobFailed(
            f"the tuning job ended as {found.state}: {reasons[-1].rstrip('.')}",
            where=job.name,
            next_step="Put that right, and run the sweep again",
            retryable=False,
        )
    return found


def _cancel(connection: TuningConnection, job: SubmittedJob, log: LogFunction, why: str) -> None:
    log(why)
    warn = step_log("tune", level=logging.ERROR)
    if stop(connection, partial(_cancelled, job=job), log=log, warn=warn, name=job.name):
        OpenJobs.of_this_run().stopped(job.name)


def _cancelled(connection: TuningConnection, *, job: SubmittedJob) -> list[SubmittedJob]:
    state = cancel(connection, job.name, wait=0.0, patience=WINDOW)
    return [replace(job, state=state, console=connection.console(job.name))]
