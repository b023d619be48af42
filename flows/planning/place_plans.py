"""The places of a run's fall-back list in its plan: machine, price and quota of each, without a job or an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...images.plan import Builder
from ...vertex.pricing.estimate import CostEstimate, duration_text
from ..job_request import RunName
from .cost_facts import PATIENCE, CostFacts
from .training_plan import Place, TrainingPlan, plan_in_place

if TYPE_CHECKING:
    from ...blocks.list_plan import ListedPlace

QUOTA = {True: "quota is there", False: "no quota", None: "quota not known"}


@dataclass(frozen=True, slots=True)
class PlacePlan:
    """One place of the list.

    Attributes:
        region: As "europe-west4".
        bucket: Name of the bucket for output.
        machine: As "g2-standard-12 with 1 NVIDIA_L4".
        strategy: How Vertex AI finds the machines.
        wait_seconds: How long the job may be without machines here.
        cost: What it may cost here; None on this machine.
        has_quota: Whether the project's quota holds the job; None where that can't be asked.
    """

    region: str
    bucket: str
    machine: str
    strategy: str
    wait_seconds: float
    cost: CostEstimate | None
    has_quota: bool | None

    def __str__(self) -> str:
        """As a line of the page."""
        parts = [f"{self.machine}, {self.strategy}, {self.region}, waits {duration_text(self.wait_seconds)}"]
        if self.cost is not None:
            rate = "price unknown" if self.cost.rate.usd is None else f"{self.cost.rate.usd:.2f} USD an hour"
            parts += [rate, QUOTA[self.has_quota]]
        return ", ".join(parts)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "region": self.region,
            "bucket": self.bucket,
            "machine": self.machine,
            "strategy": self.strategy,
            "wait_seconds": self.wait_seconds,
            "usd_per_hour": self.cost and self.cost.rate.usd,
            "at_most_usd": self.cost and self.cost.most,
            "has_quota": self.has_quota,
        }


def place_plans(
    planned: TrainingPlan, args: Sequence[str], run: RunName, *, builder: Builder, facts: CostFacts | None
) -> list[PlacePlan]:
    """The places in the order in which the run tries them; empty for a run without a list.

    Args:
        planned: The plan of the run's own place.
        args: The run's own arguments.
        run: The run's id and name.
        builder: The builder that the run asks for.
        facts: What the cost is estimated from; None for a job on this machine.

    Raises:
        ProjectError, VertexError: A place can't be; one line names it.
    """
    settings, place = planned.project.settings, planned.place
    if not settings.fallback.is_set:
        return []
    from ...blocks.list_plan import list_places, listed_settings
    from ..listed_places.listed_run import at_place

    known = _quotas(place, planned, settings.fallback.allowed_regions) if settings.fallback.automatic else {}
    prices = facts.prices(PATIENCE) if facts else []
    found = []
    for each in list_places(listed_settings(settings), place, has_quota=known.get, prices=prices):
        block = place.block.in_region(each.region, each.bucket) if place.block else None
        there = Place(each.region, each.bucket, block)
        job = plan_in_place(at_place(planned.project, each), args, there, run, builder=builder, facts=facts)
        found.append(_plan(each, job, _quotas(there, job, [each.region]).get(each.region)))
    return found


def _plan(place: ListedPlace, job: TrainingPlan, has_quota: bool | None) -> PlacePlan:
    return PlacePlan(
        place.region, place.bucket, str(job.job.machine), job.job.strategy, place.wait, job.cost, has_quota
    )


def _quotas(place: Place, planned: TrainingPlan, regions: Sequence[str]) -> dict[str, bool | None]:
    """Whether the regions have quota for the job; empty where nobody can be asked."""
    preflight = planned.project.settings.preflight
    if place.block is None or preflight == "off" or place.block.connection().endpoint.local:
        return {}
    from ..listed_places.region_quotas import regions_with_quota

    return dict(regions_with_quota(place.block, planned.job, regions))
