"""Submits the attempts of a request within one budget, whoever retries: Prefect, this package or Vertex AI itself.

A request may take several jobs, one after the other: when a job fails in a way that a new one could avoid, the next is
submitted, and so it is when a person retries the run. Each attempt has a key of its own, so that at most one job is
created for it. All attempts carry the request's label, by which they are counted from the service's own list: a crash
forgets none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...core.retry import backoff
from ..client.calls import age, error_of, is_live, listed, patiently, state_of
from ..client.connection import Connection
from ..diagnosis import diagnose
from ..job_types import JobRequest, SubmittedJob
from ..labels import ATTEMPT_LABEL, KEY_LABEL, REQUEST_LABEL, RETRY_LABEL
from .intent import IntentFile, intent_time
from .submission import FAILED_STATES, is_answer, job_key, submit

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a request.

    Attributes:
        key: The attempt's key: at most one live or succeeded job has it.
        number: From 1, counted anew after each retry by a person.
        retry: How often a person had retried the run.
        allowed: How many attempts there may be for this retry.
    """

    key: str
    number: int
    retry: int = 0
    allowed: int = 1

    @property
    def labels(self) -> dict[str, str]:
        """The labels that tell this attempt's job from others of its request."""
        return {ATTEMPT_LABEL: str(self.number), **({RETRY_LABEL: str(self.retry)} if self.retry else {})}


def attempt_key(key: str, number: int, retry: int = 0) -> str:
    """The key of one attempt; that of the first attempt is the request's own."""
    if retry:
        return job_key(key, str(number), str(retry))
    return key if number == 1 else job_key(key, str(number))


def submit_attempt(
    connection: Connection,
    request: JobRequest,
    key: str,
    *,
    allowed: int,
    intent: Callable[[str], IntentFile],
    retry: int = 0,
    least: int = 1,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> SubmittedJob:
    """Submits the attempt that is due, or finds its job.

    A live or succeeded job is the answer. So is a failed job that no other may follow: the user must fix its failure,
    or the budget is used up. Watching the job tells which. A person's retry makes a new job in both cases, since the
    cause may have been put right outside of the code: its budget is what the earlier jobs have left, at least one job.

    Args:
        connection: Connection to where the job shall run.
        request: The job.
        key: The request's key, from `job_key`.
        allowed: How many jobs may be created for the request, from `jobs_allowed`.
        intent: Returns the record of an attempt's intent, by the attempt's key.
        retry: How often a person has retried the run, the same whenever this retry's work is taken up again.
        least: Number of the first attempt that isn't known to have failed, for a caller that has just seen one fail.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.

    Raises:
        VertexError: As `submit`.
    """
    earlier = [intent(attempt_key(key, number, past)) for past in range(retry) for number in range(1, allowed + 1)]
    jobs = _known_jobs(connection, key, earlier, clock, sleep)
    due = _due(jobs, key, allowed=allowed, retry=retry, least=least)
    record = intent(due.key)
    job = submit(
        connection,
        replace(request, labels={**request.labels, REQUEST_LABEL: key, **due.labels}),
        due.key,
        record=record.record,
        recorded=record.read(),
        answers=FAILED_STATES,
        clock=clock,
        sleep=sleep,
    )
    states = [state_of(other) for other in jobs if other.name != job.name]
    return replace(
        job,
        attempt=due.number if due.retry == retry else 0,
        allowed=due.allowed,
        retry=retry,
        failed=sum(state in FAILED_STATES for state in states),
        cancelled=states.count("JOB_STATE_CANCELLED") + states.count("JOB_STATE_CANCELLING"),
    )


def jobs_of(connection: Connection, key: str) -> list[CustomJob]:
    """Every job of a request, in any state, oldest first.

    Raises:
        VertexError: The listing was refused, or got no answer (then transient).
    """
    return listed(connection, key, label=REQUEST_LABEL)


def _known_jobs(
    connection: Connection,
    key: str,
    earlier: Sequence[IntentFile],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[CustomJob]:
    """Every job of the request, once those that were created before a person's retry are sure to be listed."""
    recorded = {intent.path.stem: intent_time(intent.read(), clock()) for intent in earlier}
    waits = backoff(base=max(connection.poll, 0.01), limit=max(connection.settle / 4, 0.01))
    while True:
        began = clock()
        jobs = patiently(lambda: jobs_of(connection, key), connection, clock=clock, sleep=sleep)
        shown = {job.labels.get(KEY_LABEL) for job in jobs}
        end = max((at for own, at in recorded.items() if own not in shown), default=0.0) + connection.settle
        if began >= end or any(map(is_answer, jobs)):
            return jobs
        sleep(min(next(waits), max(end - clock(), 0.001)))


def _due(jobs: Sequence[CustomJob], key: str, *, allowed: int, retry: int, least: int) -> Attempt:
    """The attempt to submit or find: that of an answer, else the last one of this retry, or the one after it."""
    before = [job for job in jobs if _retry(job) < retry]
    left = max(1, allowed - sum(state_of(job) in FAILED_STATES for job in before)) if retry else allowed
    # Of several answers `submit` keeps one by the same rule.
    answers = sorted(filter(is_answer, before), key=lambda job: (is_live(job), age(job)))
    if answers:
        found = answers[0]
        return Attempt(found.labels[KEY_LABEL], _number(found), _retry(found), left)
    number = max(_due_number([job for job in jobs if _retry(job) == retry], left), least)
    return Attempt(attempt_key(key, number, retry), number, retry, left)


def _due_number(jobs: Sequence[CustomJob], allowed: int) -> int:
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
    return _whole(job, ATTEMPT_LABEL, 1)


def _retry(job: CustomJob) -> int:
    return _whole(job, RETRY_LABEL, 0)


def _whole(job: CustomJob, label: str, default: int) -> int:
    text = job.labels.get(label, "")
    return int(text) if text.isdecimal() else default
