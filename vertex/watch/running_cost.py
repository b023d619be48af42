"""What the jobs of a run have cost so far, while one of them is watched; and when their cap is reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ..client.calls import seconds, state_of
from ..client.connection import Connection
from ..job_types import TERMINAL, Diagnosis, LogLine
from ..pricing.cost_cap import BilledJob, capped_seconds, spent
from ..pricing.cost_labels import max_cost_of, rate_of
from ..submit.spending import billed, jobs_of_run

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

RUNNING_LINE = "Job is running."
"""The service's own line in a job's log from the moment when its machines are there, before its state says so."""


@dataclass(frozen=True, slots=True)
class CostSoFar:
    """What a run has cost so far, in USD.

    Attributes:
        usd: All jobs of the run together.
        sure: Whether the watched job is known to run. If not, it is counted from its creation, although waiting is
            free: the amount is an upper bound.
        cap: The most that the run may cost; None for no limit.
    """

    usd: float
    sure: bool
    cap: float | None = None

    def __str__(self) -> str:
        """For example "1.20 USD so far, 6 % of max-cost 20.00 USD"."""
        amount = f"{self.usd:.2f} USD so far" if self.sure else f"at most {self.usd:.2f} USD so far"
        part = "" if self.cap is None else f", {self.usd / self.cap:.0%} of max-cost {self.cap:.2f} USD"
        return amount + part


class RunningCost:
    """The cost of one watched job, and of the jobs of its run before it.

    Args:
        connection: Where the job runs.
        clock: Seconds since 1970.
    """

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._job: BilledJob | None = None
        self._created = 0.0
        self._announced = 0.0
        self._cap: float | None = None
        self._earlier: float | None = None
        self.stopped = False

    def read(self, job: CustomJob) -> None:
        """Takes over what the service says of the job."""
        self._cap, self._created = max_cost_of(job.labels), seconds(job.create_time)
        found = billed(job)
        ended = found.ended or (self._clock() if state_of(job) in TERMINAL else 0.0)
        self._job = replace(found, started=found.started or self._announced, ended=ended)
        if self._earlier is None and found.rate is not None:
            self._earlier = self._cost_before(job)

    def lines(self, lines: Sequence[LogLine]) -> None:
        """Looks for the line that says that the job is running."""
        for line in lines:
            if line.task == "service" and line.message.strip() == RUNNING_LINE and not self._announced:
                self._announced = line.timestamp

    def so_far(self) -> CostSoFar | None:
        """The cost at this moment; None if the job's price is not known."""
        job, now = self._job, self._clock()
        if job is None or job.rate is None:
            return None
        sure = bool(job.started or job.ended)  # a job that ended without having begun cost nothing
        counted = job if sure else replace(job, started=self._created)
        return CostSoFar((self._earlier or 0.0) + (counted.cost(now) or 0.0), sure, self._cap)

    def seconds_left(self) -> float:
        """How long the job may go on until the cap is reached; infinite for a job without one, or one that waits."""
        job = self._job
        if job is None or job.rate is None or self._cap is None or not job.started or job.ended:
            return math.inf
        allowed = capped_seconds(job.rate, cap=self._cap, used=self._earlier or 0.0, starts=1)
        return max(0.0, allowed - job.seconds(self._clock()))

    def diagnosis(self, found: Diagnosis | None) -> Diagnosis | None:
        """Names the cap where it ended the job: cancelled by the watcher, or by the time limit that the cap allowed."""
        if found is None or not (self.stopped or (found.kind == "time_limit" and self._limited())):
            return found
        so_far = self.so_far()
        assert so_far is not None
        assert self._cap is not None
        return Diagnosis(
            "cost_cap",
            f"the job was stopped at max-cost: this run cost {so_far.usd:.2f} of {self._cap:.2f} USD",
            "Raise max-cost (--max-cost USD, or max-cost under [tool.vertex-training]), or choose a cheaper machine",
            retryable=False,
        )

    def _limited(self) -> bool:
        """Whether the job's time limit is the one that the cap allowed."""
        job = self._job
        if job is None or job.rate is None or self._cap is None:
            return False
        allowed = capped_seconds(job.rate, cap=self._cap, used=self._earlier or 0.0, starts=job.starts)
        # Earlier jobs may cost a little more by now than when the limit was computed.
        return job.time_limit >= math.floor(allowed) - max(2.0, 0.01 * allowed)

    def _cost_before(self, job: CustomJob) -> float | None:
        """What the other jobs of the run have cost; None if nobody can tell now."""
        try:
            others = [billed(other) for other in jobs_of_run(self._connection, job.labels) if other.name != job.name]
        except TrainingError:
            return None
        return spent(others, self._clock(), assumed_rate=rate_of(job.labels) or 0.0)
