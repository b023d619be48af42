"""Step 5, first half: exactly one cloud job for this attempt at the request."""

from __future__ import annotations

import logging

from prefect import task
from prefect.cache_policies import NO_CACHE

from ..core.errors import VertexError
from ..core.home import Home
from ..vertex.client.connection import Connection
from ..vertex.job_types import JobRequest, SubmittedJob
from ..vertex.labels import REQUEST_LABEL
from ..vertex.submit.attempts import submit_attempt
from ..vertex.submit.cancellation import cancel_by_key
from ..vertex.submit.intent import IntentFile
from ..vertex.submit.submission import FAILED_STATES
from .reporting.events import SUBMITTED, job_event
from .reporting.failure_page import report_refusal
from .reporting.job_page import report_job
from .reporting.step_log import step_log
from .retry_policy import STEP
from .stop_job import WINDOW, is_stopped, stop


# Never skipped by Prefect's cache: whether the job exists is the service's to say, and which of a request's jobs
# counts changes when one fails. The look-ups by key cost two requests.
@task(name="submit", cache_policy=NO_CACHE, **STEP)
def submit(connection: Connection, request: JobRequest, key: str, allowed: int = 1, least: int = 1) -> SubmittedJob:
    """Creates the job of the attempt that is due, or adopts the one that is there.

    After this returns, at most one live or succeeded job of this request exists. A job that failed for good is adopted
    too: the same request would fail the same way, and isn't paid for twice.

    Raises:
        VertexError: The request breaks a limit, or the service refused it.
        VertexUnavailable: Transient.
    """
    log = step_log("submit")
    folder = Home.default().cache / "intents"
    intents: list[IntentFile] = []

    def intent(attempt: str) -> IntentFile:
        intents.append(IntentFile(folder, attempt))
        return intents[-1]

    try:
        job = submit_attempt(connection, request, key, allowed=allowed, least=least, intent=intent)
    except VertexError as error:
        if not error.transient:
            report_refusal(error)
        raise
    except Exception:
        raise
    except BaseException:
        # The run is ending. Whatever was created, answered or not, is found by the request's label.
        if intents and (recorded := intents[-1].read()):
            stop(
                connection,
                lambda hasty: cancel_by_key(
                    hasty, key, label=REQUEST_LABEL, recorded=recorded, wait=WINDOW, enough=is_stopped
                ),
                log=log,
                shout=step_log("submit", level=logging.ERROR),
            )
        raise
    log(f"{'found' if job.adopted else 'created'} {job.name}" + (f", attempt {job.attempt}" if allowed > 1 else ""))
    if job.state in FAILED_STATES:
        log("it failed before; change the code, the arguments or the settings, or start a new run, for another job")
    if not job.adopted:
        job_event(SUBMITTED, job.name, image=request.image, machine=request.machine.machine_type, output=request.output)
    if job.console:
        log(job.console)
    report_job(connection, job.name, request)
    return job
