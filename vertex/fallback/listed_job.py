"""A request with its fall-back list, as one process follows it: places a job, watches it, and goes on if it must."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from ...core.retry import backoff
from ..client.connection import Connection
from ..job_types import SubmittedJob
from .create_record import CreateRecord
from .driver import Driver, Memory, Pace
from .job_regions import JobRegions
from .request_view import Limits, Spot
from .run_list import run_list
from .supervision import Supervision

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 300.0, 1800.0
"""Seconds before the second round through the list, and at most before a later one."""

LONGEST_WAIT = 900.0
"""Longest wait after a failure of the platform, seconds."""


def limits_of(connections: Mapping[str, Connection], spots: Sequence[Spot], *, allowed: int, rounds: int) -> Limits:
    """The list and the budgets; on this machine, where machines are never short for long, the pauses are short.

    Args:
        connections: One for each region.
        spots: The list.
        allowed: How often the script may be attempted.
        rounds: How often the list is gone through.
    """
    settle = max(each.settle for each in connections.values())
    local = all(each.endpoint.local for each in connections.values())
    return Limits(
        spots,
        allowed=allowed,
        rounds=rounds,
        pause=settle if local else FIRST_PAUSE,
        longest_pause=settle if local else LONGEST_PAUSE,
        settle=settle,
    )


class ListedJob:
    """A request with its list.

    Args:
        regions: The regions.
        record: The create calls that were sent.
        limits: The list, and the budgets.
        retry: How often a person has retried the run.
        ignored: Regions that are left out.
        notice: Called with a line for each thing that a person may want to know.
        sleep: Waits that many seconds.

    Attributes:
        memory: What this process knows.
    """

    def __init__(
        self,
        regions: JobRegions,
        record: CreateRecord,
        limits: Limits,
        *,
        retry: int = 0,
        ignored: Collection[str] = (),
        notice: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.regions = regions
        self.record = record
        self.limits = limits
        self.retry = retry
        self.ignored = frozenset(ignored)
        self.memory = Memory()
        self._notice = notice
        self._sleep = sleep

    def driver(self) -> Driver:
        """Applies the rules."""
        paces = [connection.pace for connection in self.regions.connections.values()]
        return Driver(
            self.regions,
            self.record,
            self.limits,
            Pace(poll=max(pace.poll for pace in paces), patience=max(pace.patience for pace in paces)),
            retry=self.retry,
            ignored=self.ignored,
            memory=self.memory,
            notice=self._notice,
            sleep=self._sleep,
        )

    def supervision(self) -> Supervision:
        """Looks, while a job is watched, whether it is still the one that counts."""
        return Supervision(self.driver(), self.limits)

    def place(self) -> SubmittedJob:
        """The job that counts, created if there is none.

        Raises:
            VertexError: As `Driver.place`.
        """
        driver = self.driver()
        before = set(self.memory.known) | {job.name for job in driver.view().jobs}
        found = driver.place()
        return self.regions.submitted(found, known=found.job.name in before)

    def follow(
        self,
        place: Callable[[], SubmittedJob],
        watch: Callable[[SubmittedJob], T],
        warn: Callable[[str], None],
        *,
        is_decided: Callable[[T], bool] = lambda _: False,
    ) -> tuple[SubmittedJob, T]:
        """Goes through the list until a job succeeds; returns it, and what watching it returned.

        Args:
            place: As `place`, perhaps as a step of a run.
            watch: As for `run_list`.
            warn: Called with a line for each job after which another one follows.
            is_decided: Whether what watching returned ends the run although the job has not succeeded.

        Raises:
            JobFailed: As `run_list`.
            VertexError: As `Driver.place`.
        """
        connections = self.regions.connections.values()
        return run_list(
            place,
            watch,
            confirm=lambda: self.regions.submitted(self.driver().place(), known=True),
            is_decided=is_decided,
            warn=warn,
            waits=backoff(base=min(each.settle for each in connections), limit=LONGEST_WAIT),
            poll=max(each.poll for each in connections),
            sleep=self._sleep,
        )
