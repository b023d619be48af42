"""The plan of a run: the project as it is, the job that will be sent, and what it may cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...core.errors import ProjectError
from ...images.plan import Builder
from ...project.snapshot import Project
from ...vertex.job_types import JobDescription
from ...vertex.pricing.cost_labels import cost_labels
from ...vertex.pricing.estimate import CostEstimate
from ...vertex.pricing.hourly_rate import hourly_rate
from ...vertex.pricing.price_list import PriceList, built_in_prices
from ...vertex.spec.machine_check import unknown_size
from ...vertex.spec.request_limits import check_description, machines_by_pool
from ...vertex.submit.attempt_budget import jobs_allowed, starts_of_a_job
from ..job_request import RunName, describe_job
from .cost_facts import PATIENCE, SOON, CostFacts

if TYPE_CHECKING:
    from ...blocks.vertex_ai import VertexAI
    from ...datasets.data_record import DataRecord


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job will run.

    Attributes:
        region: As "europe-west4".
        bucket: Name of the bucket for output.
        block: The VertexAI block; None for local_vertex.
    """

    region: str
    bucket: str
    block: VertexAI | None = None

    @property
    def local(self) -> bool:
        """Whether the job runs on this machine."""
        return self.block is None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What a run will do.

    Attributes:
        project: The project's files and settings, with the run's own choices.
        arguments: Of the training script: the project's, then the run's.
        place: Where the job will run.
        job: The job, all but its image.
        allowed: How many jobs may be created until one succeeds.
        cost: What it may cost; None for a job on this machine.
        warnings: What is allowed and may still go wrong, one sentence each.
    """

    project: Project
    arguments: Sequence[str]
    place: Place
    job: JobDescription
    allowed: int
    cost: CostEstimate | None
    warnings: Sequence[str]


def plan_training(
    project: Project,
    args: Sequence[str],
    place: Place,
    run: RunName,
    *,
    builder: Builder = "auto",
    prices: Sequence[PriceList] = (),
    last_seconds: float | None = None,
    data: Sequence[DataRecord] = (),
) -> TrainingPlan:
    """Decides what a run will do, and refuses what is impossible before anything is built.

    Args:
        project: The project, with the run's own choices in its settings.
        args: The run's arguments for the training script.
        place: Where the job will run.
        run: The run's id and name.
        builder: The builder that the run asks for.
        prices: Where prices are looked up before the built-in table.
        last_seconds: How long the last succeeded job of this project on this machine took.
        data: The run's data sets, once they are known.

    Raises:
        VertexError: The job breaks Vertex AI's limits.
        DockerError: The project's Dockerfile can't take the arguments.
    """
    arguments = [*project.settings.args, *args]
    job = describe_job(project, arguments, place.bucket, place.block, run, builder=builder, data=data)
    check_description(job, region=place.region, local=place.local)
    allowed = jobs_allowed(job, project.settings.job.attempts)
    cost = None
    if not place.local:
        rate = hourly_rate(job, place.region, [*prices, built_in_prices()])
        cap = project.settings.job.max_cost
        cost = CostEstimate(rate, job.timeout, allowed * starts_of_a_job(job), last_seconds, cap)
        job = replace(job, labels={**job.labels, **cost_labels(rate, cap)})
    warnings = filter(None, (unknown_size(machine) for machine in dict.fromkeys(machines_by_pool(job).values())))
    return TrainingPlan(
        project=project,
        arguments=arguments,
        place=place,
        job=job,
        allowed=allowed,
        cost=cost,
        warnings=tuple(warnings),
    )


def refuse_unreachable_image(vertex: object | None, registry: object | None) -> None:
    """Refuses a job in the cloud whose image stays on this machine.

    Args:
        vertex: The block of where the job runs; None for this machine.
        registry: The block of where the image goes; None for this machine.

    Raises:
        ProjectError: The job is in the cloud, and its image isn't.
    """
    if vertex is not None and registry is None:
        raise ProjectError(
            "a job in the cloud can't reach an image on this machine",
            where="registry",
            next_step="Name a ContainerRegistry block as the registry (--registry BLOCK)",
        )


def plan_in_place(
    project: Project,
    args: Sequence[str],
    place: Place,
    run: RunName,
    *,
    builder: Builder = "auto",
    facts: CostFacts | None = None,
    data: Sequence[DataRecord] = (),
) -> TrainingPlan:
    """The plan, with prices as far as they are there; a cap waits for those that are not.

    Args:
        project: As for `plan_training`.
        args: As for `plan_training`.
        place: As for `plan_training`.
        run: As for `plan_training`.
        builder: As for `plan_training`.
        facts: What a cost in the cloud is estimated from; None for a job on this machine.
        data: As for `plan_training`.

    Raises:
        VertexError: As `plan_training`; or the cost is capped, and the price isn't known.
        DockerError: As `plan_training`.
    """
    if facts is None:
        return plan_training(project, args, place, run, builder=builder, data=data)

    def planned(wait: float) -> TrainingPlan:
        prices, last = facts.prices(wait), facts.last_seconds(0.0)
        return plan_training(project, args, place, run, builder=builder, prices=prices, last_seconds=last, data=data)

    found = planned(SOON)
    if found.cost and found.cost.cap is not None and found.cost.rate.usd is None:
        found = planned(PATIENCE)
    if found.cost:
        found.cost.require_price()
    return found
