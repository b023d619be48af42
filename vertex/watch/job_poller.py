"""One look for all the jobs that this process watches in one project and region.

600 reads a minute are allowed for a project and region, to everybody together. Up to a handful of jobs are each read
for themselves, which shows a change at once. From then on one filtered list, in pages of 100 jobs and at most four
times a minute, tells all of them: a thousand jobs are 40 reads a minute. Whichever watcher finds the last list too old
makes the next one; no thread of its own has to be kept alive for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ...core.retry import backoff, is_transient
from ..client.calls import KEY_LABEL, get, list_jobs, seconds
from ..client.connection import Connection
from .log_reader import Cursor, LogReader

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

FEW = 4
"""So many jobs are each read for themselves: at most 12 reads a minute each, as one list of them would be."""


@dataclass(slots=True)
class _Watched:
    joined: float
    created: float = 0.0


class Lookout:
    """What is known of the jobs that are watched; threads share it.

    Args:
        connection: Where to.
        clock: Seconds since 1970.
    """

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self.connection = connection
        self.clock = clock
        self.logs = LogReader(connection, clock)
        self._watched: dict[str, _Watched] = {}
        self._jobs: dict[str, CustomJob] = {}
        self._of_key: dict[str, list[CustomJob]] = {}
        self._swept = float("-inf")
        self._due = float("-inf")
        self._failing: float | None = None
        self._error: TrainingError | None = None
        self._waits = backoff()
        self._lock = threading.Lock()

    @property
    def shared(self) -> bool:
        """Whether the jobs are so many that they are listed together."""
        return len(self._watched) > FEW and not (self._error and not is_transient(self._error))

    @property
    def wait(self) -> float:
        """Seconds until the next list may be made."""
        return max(self._due - self.clock(), 0.0)

    def look(self, name: str, created: float) -> CustomJob | None:
        """The job as it was when last looked at; None when the next list will tell.

        Args:
            name: The job's.
            created: When it was created, or 0 when that isn't known: then it is read for itself once.

        Raises:
            VertexError: There is no such job.
            VertexUnavailable, LocalServiceError: No answer; in a list, none for the connection's patience.
        """
        with self._lock:
            if self.shared and created:
                watched = self._watched[job_id(name)]
                watched.created = created
                self._sweep_if_due()
                if self.shared:
                    job = self._jobs.get(job_id(name))
                    if job is not None or self._swept < watched.joined:
                        return job
        return get(self.connection, name)

    def twins(self, key: str) -> list[CustomJob] | None:
        """The jobs of a key, as the last list told them; None when there was none, or the jobs are few."""
        return self._of_key.get(key) if self.shared else None

    def watches(self, name: str) -> bool:
        """Whether the job is watched already."""
        return job_id(name) in self._watched

    def join(self, name: str, cursor: Cursor) -> None:
        """A job is watched from now on."""
        self._watched[job_id(name)] = _Watched(self.clock())
        self.logs.join(job_id(name), cursor)

    def leave(self, name: str) -> bool:
        """A job is watched no longer; True when it was the last one."""
        del self._watched[job_id(name)]
        self.logs.leave(job_id(name))
        return not self._watched

    def _sweep_if_due(self) -> None:
        now, pace = self.clock(), self.connection.pace
        if now < self._due:
            if self._error and self._failing is not None and now - self._failing >= pace.patience:
                raise self._error
            return
        try:
            pages = self._sweep(now)
        except TrainingError as error:
            self._error = error
            self._failing = now if self._failing is None else self._failing
            self._due = now + next(self._waits)
            if is_transient(error) and now - self._failing >= pace.patience:
                raise
            return
        self._error = self._failing = None
        self._waits = backoff(base=pace.poll, limit=pace.backoff)
        self._due = now + max(3 * pace.poll, pages * pace.list_page)

    def _sweep(self, now: float) -> int:
        """Lists all jobs with a key that may be of one of the watched requests; returns how many pages that took."""
        created = [watched.created for watched in list(self._watched.values()) if watched.created]
        # A job's elder twin may have been created before it, by as long as a create may stay unseen.
        since = datetime.fromtimestamp(min(created) - 4 * self.connection.settle, tz=UTC)
        moment = since.isoformat(timespec="seconds").replace("+00:00", "Z")
        jobs, pages = list_jobs(self.connection, f'(labels.{KEY_LABEL}:*) AND (create_time>="{moment}")')
        self._jobs = {job_id(job.name): job for job in jobs}
        self._of_key = {}
        for job in sorted(jobs, key=lambda job: seconds(job.create_time)):
            self._of_key.setdefault(job.labels.get(KEY_LABEL, ""), []).append(job)
        self._swept = now
        return pages


_LOOKOUTS: dict[Hashable, Lookout] = {}
_LOCK = threading.Lock()


@contextmanager
def joined(connection: Connection, name: str, cursor: Cursor, clock: Callable[[], float]) -> Iterator[Lookout]:
    """This process's lookout for that service, project and region, with the job among those it looks after."""
    key = connection.identity
    with _LOCK:
        lookout = _LOOKOUTS.setdefault(key, Lookout(connection, clock))
        if lookout.watches(name):  # a second watch of one job has lines of its own to hand on
            lookout = Lookout(connection, clock)
        lookout.join(name, cursor)
    try:
        yield lookout
    finally:
        with _LOCK:
            if lookout.leave(name) and _LOOKOUTS.get(key) is lookout:
                del _LOOKOUTS[key]


def job_id(name: str) -> str:
    """The job's own part of its name: the service says the project's number where its id was sent."""
    return name.rpartition("/")[2]
