"""What a run may cost, as an artifact; and what it has cost so far, in its log and as a bar of its cap."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from ...vertex.pricing.estimate import CostEstimate
from ...vertex.watch.running_cost import CostSoFar
from .artifacts import artifact_key, optional_display
from .markdown import plain
from .step_log import LogFunction

EVERY = 300.0
"""Seconds between lines in the log, and between updates of the bar."""


def report_estimate(estimate: CostEstimate) -> None:
    """Writes the artifact `PROJECT-cost`: an hour's price, where it comes from, and the whole job's."""
    with optional_display():
        create_markdown_artifact(page(estimate), key=artifact_key("cost"), description="What the run may cost")


def page(estimate: CostEstimate) -> str:
    """The artifact's Markdown."""
    rate = estimate.rate
    lines = [f"Cost: {plain(str(estimate))}"]
    if rate.usd is not None:
        lines += [f"An hour: {rate.usd:.4f} USD", f"Prices: {plain(rate.source)}, with Vertex AI's management fee"]
    if estimate.cap is not None:
        lines.append(f"max-cost: {estimate.cap:.2f} USD for all jobs of this run; the job is cancelled there")
    lines.append("Storage, logging, network traffic and discounts are not in it.")
    return "\n\n".join(lines) + "\n"


class ShownCost:
    """Shows what a run has cost so far: a line every five minutes, and a bar where there is a cap.

    Args:
        log: Logs a line.
        clock: A monotonic clock, seconds.
    """

    def __init__(self, log: LogFunction, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._due = clock() + EVERY
        self._artifact: UUID | None = None
        self._last: CostSoFar | None = None

    def show(self, cost: CostSoFar) -> None:
        """Takes the newest amount."""
        self._last = cost
        if self._clock() < self._due:
            return
        self._due = self._clock() + EVERY
        self._log(str(cost))
        self._draw(cost)

    def close(self) -> None:
        """The job has ended: the last amount is shown."""
        if self._last is not None:
            self._log(f"{self._last.usd:.2f} USD in all")
            if self._artifact is not None:
                self._draw(self._last)

    def _draw(self, cost: CostSoFar) -> None:
        if cost.cap is None:
            return
        percent = min(100.0, 100 * cost.usd / cost.cap)
        with optional_display():
            if self._artifact is None:
                made = create_progress_artifact(percent, key=artifact_key("cost-so-far"), description=str(cost))
                self._artifact = made if isinstance(made, UUID) else None
            else:
                update_progress_artifact(self._artifact, progress=percent, description=str(cost))
