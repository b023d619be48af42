"""The plan of a run: the project as it is, the job that will be sent, and what it may cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.errors import ProjectError
from ...images.plan import Builder
from ...project.snapshot import Project
from ...vertex.job_types import JobDescription
from ...vertex.pricing.estimate import CostEstimate
from ...vertex.pricing.hourly_rate import hourly_rate
from ...vertex.pricing.price_list import PriceList, built_in_prices
from ...vertex.spec.machine_check import unknown_size
from ...vertex.spec.request_limits import check_description, machines_by_pool
from ...vertex.submit.attempt_budget import jobs_allowed, starts_of_a_job
from ..job_request import RunName, describe_job

if TYPE_CHECKING:
    from ...blocks.vertex_ai import VertexAI


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
) -> TrainingPlan:
    """Decides what a run will do, and refuses what is impossible before anything is built.

    Args:
        project: The project, with the run's own choices in its settings.
        args: The run's arguments for the training script.
        place: Where the job will run.
        run: The run's id and name.
        builder: The builder that the run asks for.
        prices: Where prices are looked up before the built-in table.

    Raises:
        VertexError: The job breaks Vertex AI's limits.
        DockerError: The project's Dockerfile can't take the arguments.
    """
    arguments = [*project.settings.args, *args]
    job = describe_job(project, arguments, place.bucket, place.block, run, builder=builder)
    check_description(job, region=place.region, local=place.local)
    allowed = jobs_allowed(job, project.settings.job.attempts)
    cost = None if place.local else _cost(job, place.region, allowed, prices)
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


def _cost(job: JobDescription, region: str, allowed: int, prices: Sequence[PriceList]) -> CostEstimate:
    rate = hourly_rate(job, region, [*prices, built_in_prices()])
    return CostEstimate(rate, job.timeout, allowed * starts_of_a_job(job))


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
