"""Step 5, first part: submits the job, exactly once for each attempt of a request."""

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
from .secret_values import with_secret_values
from .step_results import step_result
from .stop_job import WINDOW, is_stopped, stop


# Prefect's cache never skips this step: only the service knows whether the job exists, and which of a request's jobs
# counts changes when one fails. Looking that up costs two requests.
@task(name="submit", cache_policy=NO_CACHE, result_serializer=step_result("vertex.job_types.SubmittedJob"), **STEP)
def submit(connection: Connection, request: JobRequest, key: str, allowed: int = 1, least: int = 1) -> SubmittedJob:
    """Creates the job of the current attempt, or adopts the one that exists.

    After this returns, at most one live or succeeded job of this request exists. A job that failed for good is adopted
    too, because the same request would fail the same way and cost money again.

    Args:
        connection: The service that runs the job.
        request: The job to run.
        key: The request's key, from `job_key`.
        allowed: How many jobs may be made for the request.
        least: The number of the current attempt, from 1.

    Raises:
        ProjectError: The value of a secret variable can't be had.
        VertexError: The request exceeds a limit, or the service refused it.
        VertexUnavailable: Transient.
    """
    log = step_log("submit")
    folder = Home.default().cache / "intents"
    intents: list[IntentFile] = []

    def intent(attempt: str) -> IntentFile:
        intents.append(IntentFile(folder, attempt))
        return intents[-1]

    complete = with_secret_values(request, local=connection.endpoint.local)
    try:
        job = submit_attempt(connection, complete, key, allowed=allowed, least=least, intent=intent)
    except VertexError as error:
        if not error.transient:
            report_refusal(error)
        raise
    except Exception:
        raise
    except BaseException:
        # The run is ending. A job that was created, with or without an answer, is found by the request's label.
        if intents and (recorded := intents[-1].read()):
            stop(
                connection,
                lambda limited: cancel_by_key(
                    limited, key, label=REQUEST_LABEL, recorded=recorded, wait=WINDOW, enough=is_stopped
                ),
                log=log,
                warn=step_log("submit", level=logging.ERROR),
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
