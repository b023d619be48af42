"""A run's fall-back list from its plan to its jobs; None of it is imported by a run without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ...images.plan import Builder
from ...project.snapshot import Project
from ..job_request import RunName, current_run_name, describe_job
from ..planning.training_plan import Place

if TYPE_CHECKING:
    from ...datasets.data_record import DataRecord
    from ...vertex.client.connection import Connection
    from ...vertex.job_types import JobDescription
    from .listed_run import FallbackRun, PlaceInputs


class PlannedPlaces:
    """The checked places of a run.

    Args:
        inputs: What each place needs.
        describe: The job of a place with its data.
        rounds: How often the list is gone through.
        ignored: Regions that are left out.
    """

    def __init__(
        self,
        inputs: Sequence[PlaceInputs],
        describe: Callable[[PlaceInputs, Sequence[DataRecord]], JobDescription],
        rounds: int,
        ignored: Sequence[str],
    ) -> None:
        self._inputs = inputs
        self._describe = describe
        self._rounds = rounds
        self._ignored = ignored

    @property
    def key(self) -> str:
        """The list as a part of the request's key: with another list it is another request."""
        return repr([(each.place.region, each.place.bucket, each.place.job) for each in self._inputs])

    def with_inputs(self, image: Callable[[str], str], records: Sequence[DataRecord]) -> FallbackRun:
        """The list, ready for jobs.

        Args:
            image: Brings the image to a region; returns its reference there.
            records: The run's data sets in the bucket of its own place.
        """
        from .listed_run import FallbackRun
        from .region_inputs import data_in

        own = self._inputs[0].place.bucket if self._inputs[0].place.own else ""

        def data(each: PlaceInputs) -> Sequence[DataRecord]:
            return records if each.place.bucket == own else data_in(each.project, each.connection)

        return FallbackRun(
            self._inputs, self._describe, image=image, data=data, rounds=self._rounds, ignored=self._ignored
        )


def plan_places(
    project: Project,
    arguments: list[str],
    place: Place,
    connection: Connection,
    *,
    ignored: Sequence[str],
    builder: Builder,
) -> PlannedPlaces | None:
    """The run's list, checked before anything is built; None for a run without one.

    Args:
        project: The project, with the run's own choices in its settings.
        arguments: Of the training script.
        place: Where the run's block says that the job runs.
        connection: To it.
        ignored: Regions that are left out.
        builder: The builder that the run asks for.

    Raises:
        ProjectError, VertexError: A place can't be; one line names it.
    """
    if not project.settings.fallback.is_set:
        return None
    from .list_plan import list_places
    from .listed_run import check_places_of, inputs_of

    listed = list_places(project.settings, place, ignored=ignored)
    inputs = inputs_of(project, listed, connection, place)
    describe = partial(_describe, arguments, current_run_name(), builder)
    check_places_of(inputs, lambda each: describe(each, ()))
    return PlannedPlaces(inputs, describe, project.settings.fallback.rounds, ignored)


def _describe(
    arguments: list[str], run: RunName, builder: Builder, each: PlaceInputs, records: Sequence[DataRecord]
) -> JobDescription:
    return describe_job(each.project, arguments, each.place.bucket, each.block, run, builder=builder, data=records)
