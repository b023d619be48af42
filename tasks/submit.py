"""Step 5, first part: submits the job, exactly once for each attempt of a request."""

from __future__ import annotations

from collections.abc import Iterator

from prefect import task
from prefect.cache_policies import NO_CACHE

from ..core.errors import VertexError
from ..core.home import Home
from ..run_history import run_scope
from ..secret_values import with_secret_values
from ..vertex.client.connection import Connection
from ..vertex.job_types import JobRequest, SubmittedJob
from ..vertex.submit.attempts import submit_attempt
from ..vertex.submit.intent import IntentFile
from ..vertex.submit.submission import FAILED_STATES
from .reporting.events import SUBMITTED, job_event
from .reporting.failure_page import report_refusal
from .reporting.job_page import report_job
from .reporting.step_log import step_log
from .retry_policy import STEP
from .step_results import step_result
from .stopping.open_jobs import OpenJobs
from .stopping.stop_job import stop_request


# Prefect's cache never skips this step: only the service knows whether the job exists, and which of a request's jobs
# counts changes when one fails. Looking that up costs two requests.
@task(name="submit", cache_policy=NO_CACHE, result_serializer=step_result("vertex.job_types.SubmittedJob", 2), **STEP)
def submit(
    connection: Connection,
    request: JobRequest,
    key: str,
    *,
    allowed: int = 1,
    least: int = 1,
    retry: int | None = None,
) -> SubmittedJob:
    """Creates the job of the current attempt, or adopts the one that exists.

    After this returns, at most one live or succeeded job of this request exists. A job that failed for good is adopted
    too, because the same request would fail the same way and cost money again; only a person's retry of the flow run,
    who may have put the cause right, makes another one.

    Args:
        connection: The service that runs the job.
        request: The job to run.
        key: The request's key, from `job_key`.
        allowed: How many jobs may be made for the request.
        least: The number of the current attempt, from 1.
        retry: How often a person has retried the flow run. Default: as Prefect's server says.

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
    retry = run_scope().retries if retry is None else retry
    noted = OpenJobs.of_this_run()
    noted.add(key)
    try:
        job = submit_attempt(connection, complete, key, allowed=allowed, least=least, retry=retry, intent=intent)
    except VertexError as error:
        if not error.transient:
            noted.stopped(key)
            report_refusal(error)
        raise
    except Exception:
        raise
    except BaseException:
        # The run is ending. A job that was created, with or without an answer, is found by the request's label.
        recorded = intents[-1].read() if intents else None
        if recorded is None or stop_request(connection, key, recorded):
            noted.stopped(key)
        raise
    noted.rename(key, job.name)
    for line in _lines(job):
        log(line)
    if not job.adopted:
        job_event(SUBMITTED, job.name, image=request.image, machine=request.machine.machine_type, output=request.output)
    if job.console:
        log(job.console)
    report_job(connection, job.name, request)
    return job


def _lines(job: SubmittedJob) -> Iterator[str]:
    """What a person wants to know of a job that was found or created: which one it is, and what was paid before."""
    attempt = f", attempt {job.attempt}" + f" of {job.allowed}" * (job.retry > 0) if job.allowed > 1 else ""
    yield f"{'found' if job.adopted else 'created'} {job.name}{attempt}"
    if job.retry and not job.adopted:
        paid = [f"{count} {how}" for count, how in ((job.failed, "failed"), (job.cancelled, "cancelled")) if count]
        yield f"retried by a person: a new job, after {' and '.join(paid) or 'no other'} that this request has paid for"
    elif job.state in FAILED_STATES:
        yield "it failed before; no automatic retry pays for another one, only Retry by a person or a new run"
