"""What a job will cost: about as much as the last time, and at most as much as its time limit allows."""

from __future__ import annotations

from dataclasses import dataclass

from .hourly_rate import HourlyRate

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a run will cost, in USD. Times are in seconds.

    Attributes:
        rate: The price of an hour.
        time_limit: The job's own time limit: no start of it runs for longer.
        starts: How often the job may be started at most.
        last_seconds: How long the last succeeded run of this project on this machine took; None for a first one.
    """

    rate: HourlyRate
    time_limit: float
    starts: int = 1
    last_seconds: float | None = None

    @property
    def about(self) -> float | None:
        """As the last time; None if that or the price is not known."""
        if self.rate.usd is None or self.last_seconds is None:
            return None
        return self.rate.usd * self.last_seconds / HOUR

    @property
    def most(self) -> float | None:
        """If every start runs to the time limit; None if the price is not known."""
        return None if self.rate.usd is None else self.rate.usd * self.time_limit / HOUR * self.starts

    def __str__(self) -> str:
        """For example "about 1.90 USD as last time (27 min); at most 100.80 USD for 24 h"."""
        if self.rate.usd is None:
            return str(self.rate)
        limit = duration_text(self.time_limit)
        starts = f" x {self.starts} starts" if self.starts > 1 else ""
        most = f"at most {self.most:.2f} USD for {limit}{starts}"
        if self.about is None or self.last_seconds is None:
            return most
        return f"about {self.about:.2f} USD as last time ({duration_text(self.last_seconds)}); {most}"


def duration_text(seconds: float) -> str:
    """Seconds in the largest unit that shows them well: "45 s", "27 min", "1.5 h", "24 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:.3g} h"


def capped_time_limit(rate: HourlyRate, time_limit: float, *, cap: float, spent: float, starts: int) -> float:
    """The time limit that keeps a job below a cap even when nobody watches it, in seconds.

    What is left of the cap is shared by all starts that Vertex AI itself may make of this job, as it restarts a job
    that was taken away or failed, and each may run to the limit.

    Args:
        rate: The price of an hour, which must be known.
        time_limit: The limit without a cap, in seconds.
        cap: The most that all attempts together may cost, in USD.
        spent: What earlier attempts cost, in USD.
        starts: How often Vertex AI may start the job.

    Raises:
        ValueError: The price is not known.
    """
    if rate.usd is None:
        raise ValueError(str(rate))
    if rate.usd <= 0:
        return time_limit
    return min(time_limit, max(0.0, cap - spent) / rate.usd * HOUR / max(1, starts))
