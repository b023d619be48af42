"""Step 5, first half: exactly one cloud job for this request."""

from __future__ import annotations

import logging

from prefect import task
from prefect.cache_policies import NO_CACHE

from ..core.home import Home
from ..vertex import submission as engine
from ..vertex.connection import Connection
from ..vertex.intent import IntentFile
from ..vertex.model import JobRequest, SubmittedJob
from .events import SUBMITTED, job_event
from .log import step_log
from .policy import STEP
from .stop import WINDOW, is_stopped, stop


# Never skipped by Prefect's cache: whether the job exists is the service's to say, and a failed job must not
# be taken for the answer when the run is retried. The look-up by key costs one request.
@task(name="submit", cache_policy=NO_CACHE, **STEP)
def submit(connection: Connection, request: JobRequest, key: str) -> SubmittedJob:
    """Creates the job, or adopts the one that an earlier attempt created.

    After this returns, exactly one live or succeeded job with this key exists.

    Raises:
        VertexError: The request breaks a limit, or the service refused it.
        VertexUnavailable: Transient.
    """
    log = step_log("submit")
    intent = IntentFile(Home.default().cache / "intents", key)
    try:
        job = engine.submit(connection, request, key, record=intent.record, recorded=intent.read())
    except Exception:
        raise
    except BaseException:
        # The run is ending. Whatever was created, answered or not, is found by its key.
        if recorded := intent.read():
            stop(
                connection,
                lambda hasty: engine.cancel_by_key(hasty, key, recorded=recorded, wait=WINDOW, enough=is_stopped),
                log=log,
                shout=step_log("submit", level=logging.ERROR),
            )
        raise
    log(f"{'found' if job.adopted else 'created'} {job.name}")
    if not job.adopted:
        job_event(SUBMITTED, job.name, image=request.image, machine=request.machine.machine_type, output=request.output)
    if job.console:
        log(job.console)
    return job
