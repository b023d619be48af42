"""One ListCustomJobs call refreshes all jobs that this process watches in one project and region.

Vertex AI allows 600 reads a minute for a project and region, shared by all callers. Up to `FEW` jobs are read one by
one, so that a change shows at once. More are read together: one filtered list, in pages of 100 jobs and at most four
times a minute, which is 40 reads a minute for a thousand jobs. There is no polling thread; the first watcher that finds
the last list too old requests the next one.
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
from ..client.calls import get, list_jobs, seconds
from ..client.connection import Connection
from ..labels import KEY_LABEL, request_of
from .log_reader import Cursor, LogReader

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

FEW = 4
"""Most jobs that are read one by one; each takes at most 12 reads a minute."""


@dataclass(slots=True)
class _Watched:
    joined: float
    created: float = 0.0


class JobPoller:
    """Reads the states of the watched jobs of one service, and their log lines. Threads share it.

    Args:
        connection: The service.
        clock: Seconds since 1970.
    """

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self.connection = connection
        self.clock = clock
        self.logs = LogReader(connection, clock)
        self._watched: dict[str, _Watched] = {}
        self._jobs: dict[str, CustomJob] = {}
        self._by_request: dict[str, list[CustomJob]] = {}
        self._listed_at = float("-inf")
        self._due = float("-inf")
        self._failing: float | None = None
        self._error: TrainingError | None = None
        self._waits = backoff()
        self._lock = threading.Lock()

    @property
    def shared(self) -> bool:
        """Whether the jobs are read together, in one list."""
        return len(self._watched) > FEW and not (self._error and not is_transient(self._error))

    @property
    def count(self) -> int:
        """How many jobs are watched."""
        return max(1, len(self._watched))

    @property
    def wait(self) -> float:
        """Seconds until the next list may be requested."""
        return max(self._due - self.clock(), 0.0)

    def read(self, name: str, created: float) -> CustomJob | None:
        """The job's last known state; None if the next list will show the job.

        Args:
            name: The job's full name.
            created: When it was created, seconds since 1970; with 0 (unknown) the job is read by itself.

        Raises:
            VertexError: There is no such job.
            VertexUnavailable, LocalServiceError: No answer; for lists only after the pace's `patience`.
        """
        with self._lock:
            if self.shared and created:
                watched = self._watched[job_id(name)]
                watched.created = created
                self._list_if_due()
                if self.shared:
                    job = self._jobs.get(job_id(name))
                    if job is not None or self._listed_at < watched.joined:
                        return job
        return get(self.connection, name)

    def of_request(self, key: str) -> list[CustomJob] | None:
        """The jobs of a request in the last list; None if it has none, or if jobs are read one by one."""
        return self._by_request.get(key) if self.shared else None

    def watches(self, name: str) -> bool:
        """Whether the job is already watched."""
        return job_id(name) in self._watched

    def join(self, name: str, cursor: Cursor) -> None:
        """Starts watching a job."""
        self._watched[job_id(name)] = _Watched(self.clock())
        self.logs.join(job_id(name), cursor)

    def leave(self, name: str) -> bool:
        """Stops watching a job; returns True if it was the last one."""
        del self._watched[job_id(name)]
        self.logs.leave(job_id(name))
        return not self._watched

    def _list_if_due(self) -> None:
        now, pace = self.clock(), self.connection.pace
        if now < self._due:
            if self._error and self._failing is not None and now - self._failing >= pace.patience:
                raise self._error
            return
        try:
            pages = self._list(now)
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

    def _list(self, now: float) -> int:
        """Lists all jobs of the time of the watched ones; returns the number of pages read."""
        created = [watched.created for watched in list(self._watched.values()) if watched.created]
        # An earlier job of the same request may be older than the watched one, by the time that lists may not show it.
        since = datetime.fromtimestamp(min(created) - 4 * self.connection.settle, tz=UTC)
        moment = since.isoformat(timespec="seconds").replace("+00:00", "Z")
        jobs, pages = list_jobs(self.connection, f'(labels.{KEY_LABEL}:*) AND (create_time>="{moment}")')
        self._jobs = {job_id(job.name): job for job in jobs}
        self._by_request = {}
        for job in sorted(jobs, key=lambda job: seconds(job.create_time)):
            self._by_request.setdefault(request_of(job.labels), []).append(job)
        self._listed_at = now
        return pages


class JobPollers:
    """The pollers of one process: one for each service, project, region and account, while jobs there are watched."""

    def __init__(self) -> None:
        self._pollers: dict[Hashable, JobPoller] = {}
        self._lock = threading.Lock()

    @contextmanager
    def watching(
        self, connection: Connection, name: str, cursor: Cursor, clock: Callable[[], float]
    ) -> Iterator[JobPoller]:
        """The poller for a connection, which watches the job as long as the `with` block runs."""
        key = connection.identity
        with self._lock:
            poller = self._pollers.setdefault(key, JobPoller(connection, clock))
            if poller.watches(name):  # a second watch of the same job needs log lines of its own
                poller = JobPoller(connection, clock)
            poller.join(name, cursor)
        try:
            yield poller
        finally:
            with self._lock:
                if poller.leave(name) and self._pollers.get(key) is poller:
                    del self._pollers[key]


def job_id(name: str) -> str:
    """The last part of a job's name; the service answers the project's number before it where its id was sent."""
    return name.rpartition("/")[2]
