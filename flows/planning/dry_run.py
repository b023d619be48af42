"""A run that only says what it would do: the plan's page in its log and as an artifact. Nothing is built or started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact

from ...core.home import Home
from ...images.forecast import forecast
from ...images.plan import Builder
from ...project.dependencies.freeze import freeze
from ...tasks.data import planned_records
from ...tasks.freeze import out_of_reach
from ...tasks.image_plan import plan_image
from ...tasks.preflight import ProjectAccess
from ...tasks.reporting.artifacts import artifact_key, artifacts_of, optional_display
from ...tasks.reporting.cost_page import report_estimate
from ...tasks.reporting.markdown import fenced
from ...tasks.reporting.step_log import step_log
from ...vertex.preflight.check_result import Finding
from ...vertex.preflight.google_api import NotMade
from ...vertex.preflight.preflight import preflight
from ...vertex.pricing.estimate import CostEstimate
from ..job_request import RunName
from ..result import TrainingResult
from .cost_facts import LAST, PATIENCE, CostFacts
from .place_plans import place_plans
from .plan_page import PlanPage
from .training_plan import TrainingPlan, plan_in_place

if TYPE_CHECKING:
    from ...blocks.registry import ContainerRegistry
    from ...blocks.vertex_ai import VertexAI

PLANNED = "PLANNED"
"""The state in the result of a run that only made a plan."""


def page_of(
    planned: TrainingPlan,
    args: Sequence[str],
    run: RunName,
    registry: ContainerRegistry | None,
    project: str,
    *,
    builder: Builder,
    home: Home,
    facts: CostFacts | None = None,
) -> PlanPage:
    """The whole plan of a run: dependencies are resolved, data is read, and the cloud project is checked.

    Args:
        planned: The plan without data.
        args: The run's own arguments.
        run: The run's id and name.
        registry: Where the image goes; None for this machine.
        project: The Google Cloud project of the job.
        builder: The builder that the run asks for.
        home: Keeps caches.
        facts: What the cost is estimated from; None for a job on this machine.

    Raises:
        TrainingError: What would stop the run before its job.
    """
    snapshot, place = planned.project, planned.place
    records = planned_records(snapshot, place.bucket) if snapshot.settings.data else []
    lock = freeze(snapshot.root, snapshot.settings, cache=home.cache, listed=snapshot.dependencies)
    lock = replace(lock, notes=(*lock.notes, *out_of_reach(snapshot, lock)))
    image = plan_image(snapshot, lock, registry=registry, builder=builder, home=home)
    findings = _findings(planned, place.block, registry)
    if facts:  # all else is done, and both have been read meanwhile
        facts.last_seconds(LAST)
        facts.prices(PATIENCE)
    whole = plan_in_place(snapshot, args, place, run, builder=builder, facts=facts, data=records)
    places = place_plans(whole, args, run, builder=builder, facts=facts)
    return PlanPage(whole, lock, image, forecast(image, cache=home.cache), project, findings, places)


def _findings(planned: TrainingPlan, vertex: VertexAI | None, registry: ContainerRegistry | None) -> Sequence[Finding]:
    settings = planned.project.settings
    if vertex is None or settings.preflight == "off" or vertex.connection().endpoint.local:
        return ()
    access = ProjectAccess(vertex, registry, planned.job, settings.name, base=settings.base)
    try:
        return preflight(access.subject, access.api())
    except NotMade as error:
        return [Finding("checks", "UNKNOWN", f"nothing could be asked: {error}")]


def show_plan(page: PlanPage) -> TrainingResult:
    """Writes the plan into the run's log and an artifact.

    Returns:
        A result without a job; its image is one that exists already, if there is one.
    """
    lines = list(page.lines())
    step_log("plan")("\n".join(lines))
    with artifacts_of(page.plan.project.settings.name), optional_display():
        create_markdown_artifact(
            fenced("\n".join(lines)), key=artifact_key("plan"), description="What the run would do, and cost"
        )
    existing = page.forecast.existing
    return TrainingResult(image=existing.reference if existing else "", job="", state=PLANNED, model="")


def show_estimate(estimate: CostEstimate, facts: CostFacts) -> None:
    """Writes a run's estimate into its log and an artifact, with the last such job if it was found."""
    estimate = replace(estimate, last_seconds=facts.last_seconds())
    step_log("cost")(f"{estimate}; {estimate.rate}" if estimate.rate.usd is not None else str(estimate))
    report_estimate(estimate)
