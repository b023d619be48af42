"""What a job will cost: about as much as the last time, and at most as much as its time limit allows."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import VertexError
from .cost_cap import HOUR, capped_seconds
from .hourly_rate import HourlyRate


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a run will cost, in USD. Times are in seconds.

    Attributes:
        rate: The price of an hour.
        time_limit: The job's own time limit: no start of it runs for longer.
        starts: How often the job may be started at most.
        last_seconds: How long the last succeeded run of this project on this machine took; None for a first one.
        cap: The most that all jobs of the run may cost; None for no limit.
    """

    rate: HourlyRate
    time_limit: float
    starts: int = 1
    last_seconds: float | None = None
    cap: float | None = None

    @property
    def about(self) -> float | None:
        """As the last time; None if that or the price is not known."""
        if self.rate.usd is None or self.last_seconds is None:
            return None
        return self.rate.usd * self.last_seconds / HOUR

    @property
    def uncapped(self) -> float | None:
        """If every start runs to the time limit; None if the price is not known."""
        return None if self.rate.usd is None else self.rate.usd * self.time_limit / HOUR * self.starts

    @property
    def most(self) -> float | None:
        """As `uncapped`, or the cap where that is less."""
        return self.uncapped if self.uncapped is None or self.cap is None else min(self.uncapped, self.cap)

    def require_price(self) -> None:
        """Refuses a cap that can't be kept, because the price isn't known.

        Raises:
            VertexError: There is a cap, and no price.
        """
        if self.cap is not None and self.rate.usd is None:
            raise VertexError(
                f"max-cost is {self.cap:.2f} USD, and the price of the job is {self.rate}",
                where="max-cost",
                next_step="Name a file that has the price (prices under [tool.vertex-training]), or remove max-cost",
                kind="cost_cap",
            )

    def __str__(self) -> str:
        """For example "about 1.90 USD as last time (27 min); at most 100.80 USD for 24 h"."""
        if self.rate.usd is None:
            return str(self.rate)
        limit = duration_text(self.time_limit)
        starts = f" x {self.starts} starts" if self.starts > 1 else ""
        most = f"at most {self.most:.2f} USD for {limit}{starts}"
        if self.cap is not None and self.most != self.uncapped:
            reached = duration_text(capped_seconds(self.rate.usd, cap=self.cap, used=0.0, starts=1))
            most = f"at most {self.cap:.2f} USD by max-cost, which is reached after {reached}"
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
