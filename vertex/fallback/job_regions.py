"""The regions of a fall-back list as Google's API shows them: the protocol of the driver over connections."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ..client import calls
from ..client.calls import error_of, is_ambiguous, seconds, state_of, status_of
from ..client.connection import Connection, region_of
from ..client.errors import Code
from ..diagnosis import diagnose
from ..job_types import TERMINAL, JobRequest, SubmittedJob
from ..labels import ATTEMPT_LABEL, ENTRY_LABEL, KEY_LABEL, REQUEST_LABEL, RETRY_LABEL, ROUND_LABEL
from ..spec.custom_job import to_custom_job
from ..submit.cancellation import cancel_quietly
from ..submit.spending import keep_below_cap
from ..submit.submission import job_key, submitted
from .driver import NoAnswer, NoCapacity
from .moves import Follow
from .request_view import Ending, Phase, Position, Refusal, TryJob

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

_RATE = re.compile(r"\brequests?\b|per minute", re.IGNORECASE)
"""In the text of a quota of calls, which refills within a minute: no reason to go to another region."""

_PHASES: Mapping[str, Phase] = {
    "JOB_STATE_QUEUED": "waiting",
    "JOB_STATE_PENDING": "waiting",
    "JOB_STATE_CANCELLING": "ending",
    **dict.fromkeys(TERMINAL, "ended"),
}


class JobRegions:
    """See `driver.Regions`.

    Args:
        connections: One for each region of the list.
        key: The request's key.
        request: Brings image and data to an entry's region, and returns the request for it; called once an entry.
        resumed: Returns an entry's request with what its next job resumes from; called before each create.
        spots: The region of each entry.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        connections: Mapping[str, Connection],
        key: str,
        request: Callable[[int], JobRequest],
        spots: Sequence[str],
        *,
        resumed: Callable[[int, JobRequest], JobRequest] = lambda _, request: request,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.connections = connections
        self._key = key
        self._request = request
        self._resumed = resumed
        self._next: JobRequest | None = None
        self._spots = spots
        self._clock = clock
        self._prepared: dict[int, JobRequest] = {}
        self._seen: dict[str, CustomJob] = {}

    def connection_of(self, name: str) -> Connection:
        """The connection to the region of a job, by its full name."""
        return self.connections[region_of(name)]

    def jobs(self, regions: Sequence[str]) -> dict[str, Sequence[TryJob] | NoAnswer]:
        """See `driver.Regions`; all regions are asked at once."""
        with ThreadPoolExecutor(max(1, len(regions)), thread_name_prefix="regions") as pool:
            return dict(zip(regions, pool.map(self._listed, regions), strict=True))

    def _listed(self, region: str) -> Sequence[TryJob] | NoAnswer:
        try:
            found = calls.listed(self.connections[region], self._key, label=REQUEST_LABEL)
        except TrainingError as error:
            if not error.transient:
                raise
            return NoAnswer(error)
        return [self._remembered(job) for job in found]

    def _remembered(self, job: CustomJob) -> TryJob:
        self._seen[job.name] = job
        return try_job(job)

    def read(self, job: TryJob) -> TryJob:
        """See `driver.Regions`."""
        with _answered():
            return self._remembered(calls.get(self.connections[job.region], job.name))

    def key(self, position: Position) -> str:
        """See `driver.Regions`."""
        parts = (position.retry, position.round, position.entry, position.attempt)
        return job_key(self._key, "list", *map(str, parts))

    def prepare(self, position: Position) -> None:
        """See `driver.Regions`."""
        self._next = self._resumed(position.entry, self.request_of(position.entry))

    def request_of(self, entry: int) -> JobRequest:
        """The request for an entry of the list; the first call brings its image and data to the region."""
        if entry not in self._prepared:
            self._prepared[entry] = self._request(entry)
        return self._prepared[entry]

    def create(self, position: Position) -> TryJob:
        """See `driver.Regions`."""
        connection = self.connections[self._spots[position.entry]]
        request = self._next or self.request_of(position.entry)
        labels = {
            KEY_LABEL: self.key(position),
            REQUEST_LABEL: self._key,
            ATTEMPT_LABEL: str(position.attempt),
            ENTRY_LABEL: str(position.entry + 1),
            ROUND_LABEL: str(position.round),
            **({RETRY_LABEL: str(position.retry)} if position.retry else {}),
        }
        wanted = to_custom_job(replace(request, labels={**request.labels, **labels}), local=connection.endpoint.local)
        others = [each for region, each in self.connections.items() if region != connection.region]
        keep_below_cap(connection, wanted, elsewhere=others, clock=self._clock)
        try:
            return self._remembered(calls.create(connection, wanted))
        except TrainingError as error:
            if is_ambiguous(error):
                raise NoAnswer(error) from error
            if is_want_of_capacity(error):
                raise NoCapacity(Refusal(self._clock(), error.what), error) from error
            raise

    def cancel(self, job: TryJob) -> None:
        """See `driver.Regions`."""
        with _answered():
            cancel_quietly(self.connections[job.region], job.name)

    def submitted(self, found: Follow, *, known: bool) -> SubmittedJob:
        """What the driver found, as the steps of a run have it.

        Args:
            found: The driver's answer.
            known: Whether the job existed before.
        """
        job = self._seen[found.job.name]
        made = submitted(self.connections[found.job.region], job, adopted=known)
        return replace(made, attempt=found.attempt, allowed=found.allowed, retry=found.job.position.retry)


@contextmanager
def _answered() -> Iterator[None]:
    """Turns transient errors into `NoAnswer`."""
    try:
        yield
    except TrainingError as error:
        if error.transient:
            raise NoAnswer(error) from error
        raise


def is_want_of_capacity(error: TrainingError) -> bool:
    """Whether a create was refused because of a quota of machines, or because there are none."""
    kind, text = getattr(error, "kind", ""), f"{error.what} {error.detail or ''}"
    return status_of(error) == Code.RESOURCE_EXHAUSTED and kind in {"quota", "stock_out"} and not _RATE.search(text)


def try_job(job: CustomJob) -> TryJob:
    """A job as the rules see it."""
    state = state_of(job)
    ended = seconds(job.end_time) or seconds(job.update_time) if state in TERMINAL else 0.0
    # A cancelled job has a start time even if it never ran.
    started = bool(job.start_time) and state not in {"JOB_STATE_CANCELLED", "JOB_STATE_CANCELLING"}
    ending, why = _ending(job, started=started) if state in TERMINAL else (None, "")
    return TryJob(
        name=job.name,
        region=region_of(job.name),
        key=job.labels.get(KEY_LABEL, ""),
        position=_position(job),
        phase=_PHASES.get(state, "running"),
        created=seconds(job.create_time),
        started=started,
        ended=ended,
        ending=ending,
        why=why,
    )


def _ending(job: CustomJob, *, started: bool) -> tuple[Ending, str]:
    state = state_of(job)
    if state == "JOB_STATE_SUCCEEDED":
        return "succeeded", ""
    if state == "JOB_STATE_CANCELLED":
        return "cancelled", "no machines came in time"
    if state == "JOB_STATE_EXPIRED" and not started:
        return "expired", "no machines came within the longest wait"
    found = diagnose(state, *error_of(job), [])
    if found is None or not found.retryable:
        return "final", found.sentence if found else ""
    kinds: Mapping[str, Ending] = {"stock_out": "stock_out", "quota": "quota"}
    return kinds.get(found.kind, "platform"), found.sentence


def _position(job: CustomJob) -> Position:
    def number(label: str, default: int) -> int:
        text = job.labels.get(label, "")
        return int(text) if text.isdecimal() else default

    return Position(
        number(RETRY_LABEL, 0), number(ROUND_LABEL, 1), number(ENTRY_LABEL, 1) - 1, number(ATTEMPT_LABEL, 1)
    )
