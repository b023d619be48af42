"""One budget for everything that may start a program again: Prefect's retries, this package's, and Vertex AI's own.

A request may take several jobs, one after the other: when one fails in a way that a new one could mend, the next is
submitted. Each attempt has a key of its own, so that for each of them at most one job is made, and all carry the
request's label: how many there were is counted from what the service lists, which no crash makes forget.
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
from .submission import ENDED_BADLY, counts, job_key, submit

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob


def attempt_key(key: str, number: int) -> str:
    """The key of one attempt; the first has the request's own."""
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

    A job that lives or succeeded is the answer, and so is one that failed where no other may follow: its failure is the
    user's to mend, or the budget is used up. Whoever watches it learns which.

    Args:
        connection: Where to.
        request: What to run.
        key: The request's, from `job_key`.
        allowed: How many jobs may be made for it, from `jobs_allowed`.
        intent: Where an attempt's intent is recorded, by its key.
        least: The number of the first attempt that isn't known to have failed, for whoever has just seen one fail.
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
        answers=ENDED_BADLY,
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
    """The number of the attempt to submit or to find: the last there is, or the one after a failure of the platform's.

    A job that somebody cancelled was not the request's failure: its number is taken again.
    """
    last = max(map(_number, jobs), default=1)
    of_last = [job for job in jobs if _number(job) == last]
    failed = next((job for job in of_last if state_of(job) in ENDED_BADLY), None)
    if failed is None or any(map(counts, of_last)):
        return last
    found = diagnose(state_of(failed), *error_of(failed), [])
    return last + 1 if found and found.retryable and last < allowed else last


def _number(job: CustomJob) -> int:
    text = job.labels.get(ATTEMPT_LABEL, "")
    return int(text) if text.isdecimal() else 1
