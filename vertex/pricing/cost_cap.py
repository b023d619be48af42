"""A cap on what jobs may cost: what is spent, what is left, and how long a new job may run.

The cap is kept by the time limit of each job, which Vertex AI itself keeps: it holds when nobody watches the job. That
limit is what is left of the cap, divided by the rate and by how often Vertex AI may start the job. A watcher also
cancels the job when the cap is reached, which is earlier for a job that was started again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ...core.errors import VertexError

HOUR = 3600.0
LEAST_SECONDS = 1.0
"""The shortest time limit that a job can have."""


@dataclass(frozen=True, slots=True)
class BilledJob:
    """A job, as far as its cost depends on it. Times are in seconds since 1970.

    Attributes:
        rate: The price of an hour in USD; None if nobody knows it.
        started: When its machines began to be billed; 0 for not yet.
        ended: When it ended; 0 for not yet.
        time_limit: How long one start of it may take, in seconds.
        starts: How often Vertex AI may start it.
    """

    rate: float | None
    started: float
    ended: float = 0.0
    time_limit: float = 0.0
    starts: int = 1

    def seconds(self, now: float) -> float:
        """How long it has been billed."""
        return max(0.0, (self.ended or now) - self.started) if self.started else 0.0

    def cost(self, now: float) -> float | None:
        """What it has cost, in USD; None if its price is not known."""
        if not self.started:
            return 0.0
        return None if self.rate is None else self.rate * self.seconds(now) / HOUR

    def most(self, now: float) -> float | None:
        """What it can still come to, in USD: all its starts to their limit, unless it has ended."""
        if self.ended or self.rate is None:
            return self.cost(now)
        return max(self.cost(now) or 0.0, self.rate * self.time_limit / HOUR * self.starts)


def spent(jobs: Iterable[BilledJob], now: float, *, assumed_rate: float) -> float:
    """What jobs have cost so far, in USD.

    Args:
        jobs: The jobs.
        now: The time, in seconds since 1970.
        assumed_rate: The price of an hour of a job whose own isn't known.
    """
    return sum(_known(job.cost(now), job.seconds(now), assumed_rate) for job in jobs)


def reserved(jobs: Iterable[BilledJob], now: float, *, assumed_rate: float) -> float:
    """What jobs can still come to, in USD: for a cap over several jobs at a time, such as those of a sweep.

    Args:
        jobs: The jobs, ended, running or waiting.
        now: The time, in seconds since 1970.
        assumed_rate: As for `spent`.
    """
    return sum(_known(job.most(now), job.time_limit * job.starts, assumed_rate) for job in jobs)


def _known(usd: float | None, seconds: float, assumed_rate: float) -> float:
    return assumed_rate * seconds / HOUR if usd is None else usd


def capped_seconds(rate: float, *, cap: float, used: float, starts: int) -> float:
    """How long each start of a new job may take, in seconds; infinite for a job that costs nothing.

    Args:
        rate: Its price of an hour, in USD.
        cap: The most that all jobs together may cost, in USD.
        used: What is gone of it: from `spent` for jobs one after the other, from `reserved` for jobs at a time.
        starts: How often Vertex AI may start the job.
    """
    return max(0.0, cap - used) / rate * HOUR / max(1, starts) if rate > 0 else math.inf


def capped_time_limit(
    rate: float, time_limit: float, *, cap: float, used: float, starts: int, where: object = None
) -> float:
    """The time limit that keeps a new job below the cap, also when nobody watches it: whole seconds if it is shorter.

    Args:
        rate: Its price of an hour, in USD.
        time_limit: The limit without a cap, in seconds.
        cap: As for `capped_seconds`.
        used: As for `capped_seconds`.
        starts: As for `capped_seconds`.
        where: The job, for the error.

    Raises:
        VertexError: Nothing is left of the cap, or not enough for a second.
    """
    seconds = capped_seconds(rate, cap=cap, used=used, starts=starts)
    if seconds >= time_limit:
        return time_limit
    if seconds < LEAST_SECONDS:
        raise VertexError(
            f"max-cost is used up: {used:.2f} of {cap:.2f} USD are spent, and an hour costs {rate:.2f} USD",
            where=where,
            next_step="Raise max-cost (--max-cost USD, or max-cost under [tool.vertex-training])",
            kind="cost_cap",
        )
    return float(math.floor(seconds))
