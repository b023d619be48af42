"""Exactly one job per request, although the API has no request id and two creates are two paid jobs.

The request's key goes into a label, the same on every attempt:

1. The intent is recorded durably before the create.
2. Jobs with that label are listed first: a live one is adopted, a succeeded one is the answer; a failed or cancelled
   one is neither.
3. Create is called with a deadline and without the client's retries.
4. When the answer leaves open whether the job exists, jobs with the label are listed until the settle window is over;
   only then is the job created again.
5. After every listing all but one job of the label are cancelled: the oldest stays, or the one that succeeded. Every
   submitter and watcher applies the same rule, so they agree without talking to each other.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ...core.errors import TrainingError
from ...core.retry import backoff
from ..client.calls import age, create, get, is_ambiguous, is_live, listed, patiently, seconds, state_of
from ..client.connection import Connection
from ..job_types import TERMINAL, JobRequest, State, SubmittedJob
from ..labels import KEY_LABEL
from ..spec.custom_job import to_custom_job
from .cancellation import cancel_quietly
from .intent import intent_text, intent_time
from .spending import keep_below_cap

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob


class FoundJob(NamedTuple):
    """An existing job: its name and state, the `gs://` folder that it writes to, and when it was created."""

    name: str
    state: State
    output: str
    created: float


FAILED_STATES: frozenset[str] = TERMINAL - {"JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED"}
"""States of jobs that ended without success, and that nobody cancelled."""

CREATES = 3
"""How often one call tries to create a job; each further try follows a whole settle window without a trace of it."""


def job_key(*parts: str) -> str:
    """A request's key: a valid label value, the same for the same parts.

    Args:
        parts: What stays the same on every attempt and differs between requests: the flow run, the step, the inputs.
    """
    return f"t{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]}"


def submit(
    connection: Connection,
    request: JobRequest,
    key: str,
    *,
    record: Callable[[str], None],
    recorded: str | None = None,
    answers: frozenset[str] = frozenset(),
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> SubmittedJob:
    """Creates the job, or finds the one that an earlier or a concurrent attempt created.

    After this returns, one live or succeeded job has this key as far as the service lists them; `watch` applies the
    same rule again once the settle window is over. If it raises or the process dies, none or one job exists, which
    can be found by the key.

    Args:
        connection: Connection to where the job shall run.
        request: The job.
        key: The key, from `job_key`.
        record: Called with a short text before every create; must return only when the text is durable.
        recorded: The text that an earlier attempt recorded, if known. A job created less than a settle window ago may
            not be listed yet; with this text it is waited for.
        answers: Further states in which an older job with this key is the answer, besides live and succeeded ones.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.

    Raises:
        VertexError: The request is not valid, or was refused, or nothing is left of the run's cap; nothing was created.
        VertexUnavailable, LocalServiceError: No answer could be had; calling again with the same key is safe.
    """
    wanted = to_custom_job(replace(request, labels={**request.labels, KEY_LABEL: key}), local=connection.endpoint.local)
    jobs = _JobsOfKey(connection, key, clock, sleep)
    before = jobs.list_until(intent_time(recorded, clock()) + connection.settle, enough=is_answer)
    if kept := jobs.keep_one(before) or next((job for job in before if state_of(job) in answers), None):
        return submitted(connection, kept, adopted=True)
    keep_below_cap(connection, wanted, clock=clock, sleep=sleep)
    known = {job.name for job in before}
    for attempt in range(1, CREATES + 1):
        record(intent_text(key, clock()))
        try:
            created = create(connection, wanted)
        except TrainingError as error:
            if not is_ambiguous(error):
                record(intent_text(key, 0.0))  # no create is under way, so nobody needs to wait for its job
                raise
            created = jobs.find_created(known)
            if created is None and attempt == CREATES:
                raise
        if created is not None:
            return jobs.confirm(created)
    raise AssertionError("the last attempt returns or raises")


def find(connection: Connection, key: str) -> list[SubmittedJob]:
    """Every job with that key, in any state, oldest first.

    Raises:
        VertexError: The listing was refused, or got no answer (then transient).
    """
    return [submitted(connection, job, adopted=True) for job in listed(connection, key)]


def look_up(connection: Connection, name: str) -> FoundJob:
    """A job's state and output folder.

    Raises:
        VertexError: There is no such job, or no answer came (then transient).
    """
    job = get(connection, name)
    output = job.job_spec.base_output_directory.output_uri_prefix
    return FoundJob(job.name, state_of(job), output, seconds(job.create_time))


def submitted(connection: Connection, job: CustomJob, *, adopted: bool = False) -> SubmittedJob:
    """Translates Google's CustomJob message."""
    return SubmittedJob(
        job.name,
        state_of(job),
        adopted=adopted,
        console=connection.console(job.name),
        created=seconds(job.create_time),
    )


class _JobsOfKey:
    """The jobs that carry one key, as one submitter sees them."""

    def __init__(
        self, connection: Connection, key: str, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self.connection = connection
        self.key = key
        self.clock = clock
        self.sleep = sleep

    def list_until(self, end: float, *, enough: Callable[[CustomJob], bool]) -> list[CustomJob]:
        """Lists the jobs until one of them is `enough`, at the latest by a call that began after `end`."""
        waits = backoff(base=max(self.connection.poll, 0.01), limit=max(self.connection.settle / 4, 0.01))
        while True:
            began = self.clock()
            jobs = patiently(
                lambda: listed(self.connection, self.key), self.connection, clock=self.clock, sleep=self.sleep
            )
            if began >= end or any(map(enough, jobs)):
                return jobs
            self.sleep(min(next(waits), max(end - self.clock(), 0.001)))

    def keep_one(self, jobs: Sequence[CustomJob]) -> CustomJob | None:
        return patiently(lambda: keep_one(self.connection, jobs), self.connection, clock=self.clock, sleep=self.sleep)

    def find_created(self, known: set[str]) -> CustomJob | None:
        """The job of a create whose answer was lost, in any state; None if it doesn't appear in the settle window."""
        jobs = self.list_until(self.clock() + self.connection.settle, enough=lambda job: job.name not in known)
        new = [job for job in jobs if job.name not in known]
        return self.keep_one(new) or (new[0] if new else None)

    def confirm(self, created: CustomJob) -> SubmittedJob:
        """The job to continue with: the one just created, or an older one that another submitter has created."""
        jobs = self.list_until(self.clock(), enough=is_answer)
        if created.name not in {job.name for job in jobs}:
            jobs = [*jobs, created]
        kept = self.keep_one(jobs) or created
        return submitted(self.connection, kept, adopted=kept.name != created.name)


def is_answer(job: CustomJob) -> bool:
    """Whether a job is the answer for its key: it is live, or it succeeded."""
    return is_live(job) or state_of(job) == "JOB_STATE_SUCCEEDED"


def keep_one(connection: Connection, jobs: Sequence[CustomJob]) -> CustomJob | None:
    """Keeps the oldest job that succeeded, else the oldest live one, and cancels every other live job.

    Returns:
        The job that was kept; None when no job is live or succeeded.

    Raises:
        VertexError: A call was refused, or got no answer (then transient).
    """
    answers = sorted(filter(is_answer, jobs), key=lambda job: (is_live(job), age(job)))
    kept = next(iter(answers), None)
    for job in answers[1:]:
        if is_live(job):
            cancel_quietly(connection, job.name)
    return kept
