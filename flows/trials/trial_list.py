"""The fall-back list of a sweep, which each of its trials goes through by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...core.errors import VertexError
from ...images.plan import Builder
from ...project.snapshot import Project
from ...sweeps.trial_records import SweepPlan, TrialPlace
from ...vertex.client.connection import Connection
from ...vertex.job_types import JobRequest
from ...vertex.labels import MAX_COST_LABEL, PRICES_LABEL, RATE_LABEL
from ..job_request import current_run_name
from ..listed_places.planned_places import plan_places
from ..planning.training_plan import Place, TrainingPlan, plan_training

if TYPE_CHECKING:
    from ...blocks.registry import ContainerRegistry
    from ...blocks.vertex_ai import VertexAI
    from ...datasets.data_record import DataRecord
    from ..listed_places.listed_run import PlaceInputs


class TrialSite(NamedTuple):
    """What the job of a trial takes from the place where it runs.

    Attributes:
        project: The project, with the place's job in its settings.
        bucket: Name of the bucket for output.
        block: The block for it; None for this machine.
        cost: The labels that keep all trials together below the project's max-cost.
    """

    project: Project
    bucket: str
    block: VertexAI | None
    cost: Mapping[str, str]


def site_of(planned: TrainingPlan) -> TrialSite:
    """The place of a plan."""
    labels = planned.job.labels
    cost = {name: labels[name] for name in (RATE_LABEL, PRICES_LABEL, MAX_COST_LABEL) if name in labels}
    return TrialSite(planned.project, planned.place.bucket, planned.place.block, cost)


class TrialList:
    """The checked places of a sweep's trials.

    Args:
        inputs: What each place needs.
        plans: The plan of a training at each.
        rounds: How often the list is gone through.
        ignored: Regions that are left out.
        key: The list as a part of each request's key.

    Attributes:
        sites: One for each place.
        rounds: As given.
        ignored: As given.
        key: As given.
    """

    def __init__(
        self,
        inputs: Sequence[PlaceInputs],
        plans: Sequence[TrainingPlan],
        *,
        rounds: int,
        ignored: Sequence[str],
        key: str,
    ) -> None:
        self._inputs = inputs
        self._plans = plans
        self.sites = [site_of(plan) for plan in plans]
        self.rounds = rounds
        self.ignored = ignored
        self.key = key
        self._brought: dict[int, tuple[str, Sequence[DataRecord]]] = {}
        self._lock = threading.Lock()

    @classmethod
    def planned(
        cls,
        project: Project,
        args: Sequence[str],
        place: Place,
        connection: Connection,
        *,
        builder: Builder,
        ignored: Sequence[str],
    ) -> TrialList:
        """The list of a project's settings, checked before anything is built.

        Args:
            project: The project.
            args: The sweep's own arguments.
            place: The trials' own place.
            connection: To it.
            builder: The builder that the run asks for.
            ignored: Regions that are left out.

        Raises:
            ProjectError, VertexError: A place can't be, or its price isn't known and there is a cap.
        """

        def planning(there: Project, at: Place, data: Sequence[DataRecord]) -> TrainingPlan:
            return plan_training(there, args, at, current_run_name(), builder=builder, data=data)

        found = plan_places(project, place, connection, planning, ignored=ignored)
        assert found is not None
        plans = [
            planning(each.project, Place(each.place.region, each.place.bucket, each.block), ()) for each in found.inputs
        ]
        for number, (each, plan) in enumerate(zip(found.inputs, plans, strict=True), 1):
            try:
                if plan.cost:
                    plan.cost.require_price()
            except VertexError as error:
                what = f"place {number} of the fall-back list, {each.place.shown}: {error.what}"
                raise error.replace(what=what) from error
        return cls(found.inputs, plans, rounds=found.rounds, ignored=found.ignored, key=found.key)

    @property
    def highest_rate(self) -> float:
        """The highest price of an hour of a trial, in USD; 0 where none costs."""
        return max((plan.cost.rate.usd or 0.0 for plan in self._plans if plan.cost), default=0.0)

    def elsewhere(self, own: Connection) -> Iterator[Connection]:
        """A connection to each region of the list but the sweep's own."""
        others = {each.place.region: each.connection for each in self._inputs if each.place.region != own.region}
        yield from others.values()

    def places(self, request: Callable[[TrialSite], JobRequest]) -> list[TrialPlace]:
        """The places of a trial, whose request at a place `request` makes."""
        pairs = zip(self._inputs, self.sites, strict=True)
        return [TrialPlace(at.place.region, at.place.bucket, at.place.wait, request(site)) for at, site in pairs]

    def bring(
        self, entry: int, registry: ContainerRegistry | None, plan: SweepPlan
    ) -> tuple[str, Sequence[DataRecord]]:
        """Brings image and data to a place, once: the image's reference there, and the data sets.

        Raises:
            RegistryError, DataError: They can't be sent.
        """
        from ..listed_places.region_inputs import data_in, image_in

        with self._lock:
            if entry not in self._brought:
                at = self._inputs[entry]
                image = image_in(registry, plan.project, plan.image, plan.image.rpartition("@")[2])(at.place.region)
                own = at.place.own and at.place.bucket == self._inputs[0].place.bucket
                self._brought[entry] = image, plan.data if own else data_in(at.project, at.connection)
            return self._brought[entry]
