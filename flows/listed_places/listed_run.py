"""Step 5 of the train flow with a fall-back list: the request of each place, and the loop over the places."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...blocks.list_plan import ListedPlace
from ...core.errors import VertexError
from ...project.snapshot import Project
from ...secret_values import with_secret_values
from ...tasks.placing.listed_submit import ListedRequest, submit_listed
from ...tasks.reporting.step_log import step_log
from ...tasks.watch import WatchProgress, watch
from ...vertex.client.connection import Connection, region_of
from ...vertex.fallback.job_regions import JobRegions
from ...vertex.fallback.listed_job import limits_of
from ...vertex.fallback.request_view import Spot
from ...vertex.fallback.tries import Place as ShownPlace
from ...vertex.job_types import JobDescription, JobRequest, Outcome, SubmittedJob
from ...vertex.resume.checkpoint_copy import copy_checkpoints
from ...vertex.resume.resume_point import with_resume_point
from ...vertex.submit.region_check import check_bucket
from ..block_parameters import connect_in
from ..planning.training_plan import Place
from ..step_runner import Steps

if TYPE_CHECKING:
    from ...blocks.vertex_ai import VertexAI
    from ...datasets.data_record import DataRecord
    from ...vertex.resume.earlier_run import EarlierRun


@dataclass(frozen=True, slots=True)
class PlaceInputs:
    """What a job of one place is made of.

    Attributes:
        project: The project, with the place's job in its settings.
        place: The place.
        connection: To its region.
        block: The block for it; None for this machine.
    """

    project: Project
    place: ListedPlace
    connection: Connection
    block: VertexAI | None


def at_place(project: Project, place: ListedPlace) -> Project:
    """The project with the job of a place of the list."""
    from dataclasses import replace

    settings = replace(project.settings, job=place.job)
    return Project(project.root, settings, project.files, project.fingerprint, project.size_report)


def inputs_of(project: Project, places: Sequence[ListedPlace], own: Connection, place: Place) -> list[PlaceInputs]:
    """What each place needs; its connections are made, and nothing is sent.

    Args:
        project: The project.
        places: The list.
        own: The run's own connection.
        place: The run's own place.

    Raises:
        LocalServiceError: local_vertex can't serve the regions.
        VertexError: The block's endpoint serves one region.
    """
    connections: dict[tuple[str, str], tuple[Connection, VertexAI | None]] = {}
    for each in places:
        if (each.region, each.bucket) not in connections:
            connections[each.region, each.bucket] = _connect(each, own, place)
    return [PlaceInputs(at_place(project, each), each, *connections[each.region, each.bucket]) for each in places]


def _connect(each: ListedPlace, own: Connection, place: Place) -> tuple[Connection, VertexAI | None]:
    if each.own and each.bucket == place.bucket:
        return own, place.block
    block = place.block.in_region(each.region, each.bucket) if place.block else None
    return connect_in(place.block, each.region, each.bucket), block


def check_places_of(inputs: Sequence[PlaceInputs], describe: Callable[[PlaceInputs], JobDescription]) -> None:
    """Refuses a place that can't be, before anything is built.

    Raises:
        VertexError: Vertex AI would refuse its job, or its bucket is elsewhere; names the place.
    """
    for number, each in enumerate(inputs, 1):
        local = each.block is None
        try:
            describe(each)
            if not local:
                check_bucket(each.connection)
        except VertexError as error:
            raise error.replace(
                what=f"place {number} of the fall-back list, {each.place.shown}: {error.what}"
            ) from error


class FallbackRun:
    """A run's list, ready for its jobs.

    Args:
        inputs: What each place needs.
        describe: The job of a place with its data, all but its image.
        image: Brings the image to a region; returns its reference there.
        data: Brings the run's data sets to the bucket of a place.
        rounds: How often the list is gone through.
        earlier: The run whose checkpoints this one takes up.
        ignored: Regions that are left out.
    """

    def __init__(
        self,
        inputs: Sequence[PlaceInputs],
        describe: Callable[[PlaceInputs, Sequence[DataRecord]], JobDescription],
        *,
        image: Callable[[str], str],
        data: Callable[[PlaceInputs], Sequence[DataRecord]],
        rounds: int,
        earlier: EarlierRun | None = None,
        ignored: Sequence[str] = (),
    ) -> None:
        self.inputs = inputs
        self._describe = describe
        self._image = image
        self._data = data
        self._rounds = rounds
        self._earlier = earlier
        self._ignored = frozenset(ignored)

    def request(self, entry: int) -> JobRequest:
        """Brings image and data to a place, and returns its request, without the values of secret variables."""
        each = self.inputs[entry]
        image = self._image(each.place.region)
        return self._describe(each, self._data(each)).with_image(image)

    def _resumed(self, entry: int, request: JobRequest) -> JobRequest:
        """The request with the checkpoints of all places, which are copied to this one first."""
        each = self.inputs[entry]
        outputs = [self._describe(other, ()).output for other in self.inputs]
        copy_checkpoints(each.connection.models, outputs, request.output, log=step_log("resume"))
        return with_resume_point(each.connection, request, self._earlier, step_log("resume"))

    def connections(self) -> Mapping[str, Connection]:
        """One for each region."""
        return {each.place.region: each.connection for each in reversed(self.inputs)}

    def run(self, steps: Steps, key: str, *, allowed: int, retry: int) -> tuple[Connection, JobRequest, Outcome]:
        """Goes through the list until a job succeeds; the third value is how it ended.

        Args:
            steps: Runs the steps, and keeps their reports.
            key: The request's key.
            allowed: How often the script may be attempted.
            retry: How often a person has retried the run.

        Raises:
            JobFailed: The user must fix the failure, or the budget is used up.
            VertexError: No place had machines, a request was refused, or a region gave no answer.
        """
        outcome, entry, request = follow_places(
            steps,
            key,
            [ReadyPlace(each.connection, each.place.wait, each.place.shown) for each in self.inputs],
            self.request,
            resumed=self._resumed,
            limits=(allowed, self._rounds),
            retry=retry,
            ignored=self._ignored,
        )
        return self.inputs[entry].connection, request, outcome


@dataclass(frozen=True, slots=True)
class ReadyPlace:
    """One place of a list whose jobs can be made.

    Attributes:
        connection: To its region.
        wait: Seconds in which a job must get machines.
        shown: For people.
    """

    connection: Connection
    wait: float
    shown: ShownPlace


def follow_places(
    steps: Steps,
    key: str,
    places: Sequence[ReadyPlace],
    request: Callable[[int], JobRequest],
    *,
    resumed: Callable[[int, JobRequest], JobRequest],
    limits: tuple[int, int],
    retry: int,
    ignored: frozenset[str],
    watching: Callable[[int], WatchProgress] = lambda _: WatchProgress(),
) -> tuple[Outcome, int, JobRequest]:
    """Goes through a list until a job succeeds: how it ended, the index of its place, and its request.

    Args:
        steps: Runs the steps, and keeps their reports.
        key: The request's key.
        places: The list.
        request: Brings image and data to a place, and returns its request, without the values of secret variables.
        resumed: Returns a place's request with what its next job resumes from.
        limits: How often the script may be attempted, and how often the list is gone through.
        retry: How often a person has retried the run.
        ignored: Regions that are left out.
        watching: Makes what follows a job of a place, and may end it early.

    Raises:
        JobFailed: The user must fix the failure, or the budget is used up.
        VertexError: No place had machines, a request was refused, or a region gave no answer.
    """
    connections = {each.connection.region: each.connection for each in reversed(places)}
    spots = [Spot(each.connection.region, each.wait) for each in places]
    followed: list[WatchProgress] = []

    def complete(entry: int) -> JobRequest:
        return with_secret_values(request(entry), local=places[entry].connection.endpoint.local)

    listed = ListedRequest(
        JobRegions(connections, key, complete, [spot.region for spot in spots], resumed=resumed),
        key,
        limits_of(connections, spots, allowed=limits[0], rounds=limits[1]),
        [each.shown for each in places],
        retry=retry,
        ignored=ignored,
    )

    def watched(job: SubmittedJob) -> Outcome:
        leave, place = listed.supervision(), places[listed.entry]
        machine = "" if place.connection.endpoint.local else place.shown.machine
        steps.progress.expect_machine(machine, place.wait)
        followed.append(watching(listed.entry))
        try:
            return steps.run(watch, connections[region_of(job.name)], job, followed[-1], leave)
        finally:
            listed.show(listed.driver())

    warn = step_log("submit", level=logging.WARNING)
    _, outcome = listed.follow(
        lambda: steps.run(submit_listed, listed), watched, warn, is_decided=lambda _: bool(followed[-1].ended_early)
    )
    return outcome, listed.entry, listed.regions.request_of(listed.entry)
