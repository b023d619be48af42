"""Step 5, second half: the job's states and lines until it ended."""

from __future__ import annotations

import contextlib

from prefect import task
from prefect.cache_policies import NO_CACHE

from ..vertex import submission
from ..vertex import watch as engine
from ..vertex.connection import Connection
from ..vertex.failures import failure
from ..vertex.model import Outcome, SubmittedJob
from .failure import report_failure
from .log import step_log
from .policy import STEP
from .training_log import TrainingLog


@task(name="watch", cache_policy=NO_CACHE, **STEP)
def watch(connection: Connection, job: SubmittedJob) -> Outcome:
    """Follows the job to its end; a retry takes up where the job is by then.

    Cancelling this task (from Prefect's UI, by SIGTERM or Ctrl-C) cancels the job.

    Raises:
        JobFailed: It ended without success; the message is a diagnosis, the detail its last lines.
        VertexUnavailable: Transient: the service was out of reach for too long, the job goes on.
        LocalServiceError: Transient: local_vertex stopped; the next try starts it and finds the job again.
    """
    log = step_log("watch")
    shown = TrainingLog(log)
    try:
        outcome = engine.watch(connection, job.name, on_state=log, on_line=shown.line)
    except Exception:
        raise
    except BaseException:
        # One request, then out of the way: Prefect kills what takes longer than 30 s to end. The flow's
        # cancellation hook looks again from outside.
        with contextlib.suppress(Exception):
            submission.cancel(connection, job.name, wait=0)
        raise
    shown.end(outcome)
    if outcome.state != "JOB_STATE_SUCCEEDED":
        report_failure(connection, outcome)
        raise failure(outcome)
    return outcome
