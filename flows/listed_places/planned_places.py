"""A run's fall-back list from its plan to its jobs; None of it is imported by a run without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...core.job_fields import MAX_COST
from ...images.oci.image_types import BuiltImage
from ...images.plan import Builder
from ...project.snapshot import Project
from ..job_request import RunName
from ..planning.training_plan import Place, TrainingPlan, plan_in_place

if TYPE_CHECKING:
    from ...blocks.registry import ContainerRegistry
    from ...datasets.data_record import DataRecord
    from ...vertex.client.connection import Connection
    from ...vertex.job_types import JobDescription
    from ...vertex.resume.earlier_run import EarlierRun
    from ..planning.cost_facts import CostFacts
    from .listed_run import FallbackRun, PlaceInputs


class PlannedPlaces:
    """The checked places of a run.

    Args:
        inputs: What each place needs.
        describe: The job of a place with its data.
        rounds: How often the list is gone through.
        ignored: Regions that are left out.

    Attributes:
        inputs: As given.
        rounds: As given.
        ignored: As given.
    """

    def __init__(
        self,
        inputs: Sequence[PlaceInputs],
        describe: Callable[[PlaceInputs, Sequence[DataRecord]], JobDescription],
        rounds: int,
        ignored: Sequence[str],
    ) -> None:
        self.inputs = inputs
        self._describe = describe
        self.rounds = rounds
        self.ignored = ignored

    @property
    def key(self) -> str:
        """The list as a part of the request's key: with another list it is another request."""
        jobs = (replace(each.place.job, max_cost=MAX_COST.default) for each in self.inputs)
        return repr([(each.place.region, each.place.bucket, job) for each, job in zip(self.inputs, jobs, strict=True)])

    def ready(
        self,
        registry: ContainerRegistry | None,
        name: str,
        image: BuiltImage,
        records: Sequence[DataRecord],
        earlier: EarlierRun | None,
    ) -> FallbackRun:
        """The list, ready for jobs.

        Args:
            registry: Where the image is; None for this machine.
            name: What it is called there.
            image: The image.
            records: The run's data sets in the bucket of its own place.
            earlier: The run whose checkpoints this one takes up.
        """
        from .listed_run import FallbackRun
        from .region_inputs import data_in, image_in

        own = self.inputs[0].place.bucket if self.inputs[0].place.own else ""

        def data(each: PlaceInputs) -> Sequence[DataRecord]:
            return records if each.place.bucket == own else data_in(each.project, each.connection)

        return FallbackRun(
            self.inputs,
            self._describe,
            image=image_in(registry, name, image.reference, image.digest),
            data=data,
            rounds=self.rounds,
            earlier=earlier,
            ignored=self.ignored,
        )


Planning = Callable[[Project, Place, "Sequence[DataRecord]"], TrainingPlan]
"""Plans a job of a project at a place, with its data sets."""


def plan_at(
    args: Sequence[str],
    run: RunName,
    project: Project,
    place: Place,
    data: Sequence[DataRecord],
    *,
    builder: Builder,
    facts: CostFacts | None,
) -> TrainingPlan:
    """As `plan_in_place`, in the order of `Planning`'s arguments."""
    return plan_in_place(project, args, place, run, builder=builder, facts=facts, data=data)


def plan_places(
    project: Project, place: Place, connection: Connection, planning: Planning, *, ignored: Sequence[str]
) -> PlannedPlaces | None:
    """The run's list, checked before anything is built; None for a run without one.

    Args:
        project: The project, with the run's own choices in its settings.
        place: Where the run's block says that the job runs.
        connection: To it.
        planning: Plans the job of each place.
        ignored: Regions that are left out.

    Raises:
        ProjectError, VertexError: A place can't be; one line names it.
    """
    if not project.settings.fallback.is_set:
        return None
    from ...blocks.list_plan import list_places, listed_settings
    from .ignored_regions import all_ignored
    from .listed_run import check_places_of, inputs_of

    own, quotas = project.settings.fallback, {}
    if own.automatic and place.block is not None and not connection.endpoint.local:
        from .region_quotas import regions_with_quota

        quotas = regions_with_quota(place.block, planning(project, place, ()).job, own.allowed_regions)
    named = {place.region, *own.allowed_regions, *(each.region or place.region for each in own.entries)}
    ignored = all_ignored(ignored, named)
    listed = list_places(listed_settings(project.settings), place, ignored=ignored, has_quota=quotas.get)
    inputs = inputs_of(project, listed, connection, place)

    def describe(each: PlaceInputs, records: Sequence[DataRecord]) -> JobDescription:
        return planning(each.project, Place(each.place.region, each.place.bucket, each.block), records).job

    check_places_of(inputs, lambda each: describe(each, ()))
    return PlannedPlaces(inputs, describe, own.rounds, ignored)
