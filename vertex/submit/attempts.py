"""Submits the attempts of a request within one budget, whoever retries: Prefect, this package or Vertex AI itself.

A request may take several jobs, one after the other: when a job fails in a way that a new one could avoid, the next is
submitted. Each attempt has a key of its own, so that at most one job is created for it. All attempts carry the
request's label, by which they are counted from the service's own list: a crash forgets none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..client.calls import error_of, listed, patiently, state_of
from ..client.connection import Connection
from ..diagnosis import diagnose
from ..job_types import JobRequest, SubmittedJob
from ..labels import ATTEMPT_LABEL, REQUEST_LABEL
from .intent import IntentFile
from .submission import FAILED_STATES, is_answer, job_key, submit

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob


def attempt_key(key: str, number: int) -> str:
    """The key of one attempt; that of the first attempt is the request's own."""
    return key if number == 1 else job_key(key, str(number))


def submit_attempt(
    connection: Connection,
    request: JobRequest,
    key: str,
    *,
    allowed: int,
    intent: Callable[[str], IntentFile],
    least: int = 1,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> SubmittedJob:
    """Submits the attempt that is due, or finds its job.

    A live or succeeded job is the answer. So is a failed job that no other may follow: the user must fix its failure,
    or the budget is used up. Watching the job tells which.

    Args:
        connection: Connection to where the job shall run.
        request: The job.
        key: The request's key, from `job_key`.
        allowed: How many jobs may be created for the request, from `jobs_allowed`.
        intent: Returns the record of an attempt's intent, by the attempt's key.
        least: Number of the first attempt that isn't known to have failed, for a caller that has just seen one fail.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.

    Raises:
        VertexError: As `submit`.
    """
    jobs = patiently(lambda: jobs_of(connection, key), connection, clock=clock, sleep=sleep)
    number = max(_due(jobs, allowed), least)
    own_key = attempt_key(key, number)
    record = intent(own_key)
    job = submit(
        connection,
        replace(request, labels={**request.labels, REQUEST_LABEL: key, ATTEMPT_LABEL: str(number)}),
        own_key,
        record=record.record,
        recorded=record.read(),
        answers=FAILED_STATES,
        clock=clock,
        sleep=sleep,
    )
    return replace(job, attempt=number)


def jobs_of(connection: Connection, key: str) -> list[CustomJob]:
    """Every job of a request, in any state, oldest first.

    Raises:
        VertexError: The listing was refused, or got no answer (then transient).
    """
    return listed(connection, key, label=REQUEST_LABEL)


def _due(jobs: Sequence[CustomJob], allowed: int) -> int:
    """The number of the attempt to submit or find: the last one, or the next after a failure of the platform.

    A cancelled job is no failure of the request, so its number is used again.
    """
    last = max(map(_number, jobs), default=1)
    of_last = [job for job in jobs if _number(job) == last]
    failed = next((job for job in of_last if state_of(job) in FAILED_STATES), None)
    if failed is None or any(map(is_answer, of_last)):
        return last
    found = diagnose(state_of(failed), *error_of(failed), [])
    return last + 1 if found and found.retryable and last < allowed else last


def _number(job: CustomJob) -> int:
    text = job.labels.get(ATTEMPT_LABEL, "")
    return int(text) if text.isdecimal() else 1
