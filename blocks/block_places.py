"""The fall-back list of a training job block: its places, and the job that goes through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from ..core.errors import VertexError
from ..core.home import Home
from ..core.job_fields import Strategy
from ..core.job_options import Machine
from ..project.settings.fallback_settings import FallbackSettings, settings_of_block
from ..project.settings.job_settings import JobSettings
from ..vertex.client.connection import Connection
from ..vertex.fallback.create_record import CreateFile
from ..vertex.fallback.job_regions import JobRegions
from ..vertex.fallback.listed_job import ListedJob, limits_of
from ..vertex.fallback.request_view import Spot
from ..vertex.job_types import JobRequest
from ..vertex.resume.checkpoint_copy import copy_checkpoints
from ..vertex.resume.resume_point import with_resume_point
from ..vertex.spec.request_limits import check_request
from ..vertex.submit.attempt_budget import jobs_allowed
from ..vertex.submit.region_check import check_bucket
from .list_plan import ListedPlace, ListedSettings, list_places

if TYPE_CHECKING:
    from .vertex_ai import VertexAI


class Listed(Protocol):
    """The fields of a `VertexTrainingJob` that decide its places."""

    vertex_ai: VertexAI | None
    strategy: Strategy
    max_wait: float | None
    output: str | None
    attempts: int
    fallback: list[str]
    allowed_regions: list[str]
    ignore_regions: list[str]
    wait: float | None
    fallback_rounds: int
    fallback_bucket: str | None

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """A copy with some fields changed."""
        ...


Block = TypeVar("Block", bound=Listed)


@dataclass(frozen=True, slots=True)
class _OwnPlace:
    region: str
    bucket: str
    local: bool


def list_of(block: Listed) -> FallbackSettings:
    """The block's list.

    Raises:
        ProjectError: A line has another form, or a place can't be.
    """
    return settings_of_block(
        block.fallback,
        block.allowed_regions,
        wait=block.wait,
        rounds=block.fallback_rounds,
        bucket=block.fallback_bucket,
    )


def listed_job(
    block: Block,
    connection: Connection,
    key: str,
    *,
    retry: int,
    request: Callable[[Block, Connection], JobRequest],
    notice: Callable[[str], None],
) -> ListedJob:
    """The job of a block with a list, checked; nothing is created yet.

    Args:
        block: The block.
        connection: To the block's own place.
        key: The request's key.
        retry: How often a person has retried the flow run.
        request: Makes the request of a block at a place.
        notice: Called with lines for people.

    Raises:
        ProjectError: A place can't be.
        VertexError: Vertex AI would refuse a job, or a bucket is elsewhere; names the place.
    """
    own = _OwnPlace(connection.region, connection.bucket, block.vertex_ai is None)
    settings = ListedSettings(list_of(block), _job_of(block), where="the job block")
    places = list_places(settings, own, ignored=block.ignore_regions)
    blocks = [_block_at(block, each, own) for each in places]
    connections = _connections(places, blocks, connection)
    requests = [
        _checked(number, place, there, connections[place.region, place.bucket], request)
        for number, (place, there) in enumerate(zip(places, blocks, strict=True), 1)
    ]
    spots = [Spot(each.region, each.wait) for each in places]
    regions = {
        region: each for (region, _), each in reversed(list(connections.items()))
    }  # that of a region's first place
    allowed = jobs_allowed(requests[0], block.attempts)
    return ListedJob(
        JobRegions(
            regions,
            key,
            lambda entry: requests[entry],
            [spot.region for spot in spots],
            resumed=lambda entry, made: _resumed(regions[spots[entry].region], requests, made, notice),
        ),
        CreateFile(Home.default().cache / "intents", key),
        limits_of(regions, spots, allowed=allowed, rounds=settings.fallback.rounds),
        retry=retry,
        ignored=block.ignore_regions,
        notice=notice,
    )


def _resumed(
    connection: Connection, requests: Sequence[JobRequest], made: JobRequest, notice: Callable[[str], None]
) -> JobRequest:
    """A place's request with what its next job resumes from: the checkpoints of all places, copied to it first."""
    copy_checkpoints(connection.models, [each.output for each in requests], made.output, log=notice)
    return with_resume_point(connection, made, None, notice)


def _job_of(block: Listed) -> JobSettings:
    machine = Machine(**{part.name: getattr(block, part.name) for part in fields(Machine)})
    return JobSettings(machine=machine, strategy=block.strategy, max_wait=block.max_wait, output=block.output)


def _block_at(block: Block, place: ListedPlace, own: _OwnPlace) -> Block:
    """The block with what a place changes."""
    vertex: VertexAI | None = block.vertex_ai
    if vertex is not None and (place.region, place.bucket) != (own.region, own.bucket):
        vertex = vertex.in_region(place.region, place.bucket)
    machine = {part.name: getattr(place.job.machine, part.name) for part in fields(Machine)}
    changes = {**machine, "strategy": place.job.strategy, "max_wait": place.job.max_wait, "output": place.job.output}
    return block.model_copy(update={**changes, "vertex_ai": vertex})


def _connections(
    places: Sequence[ListedPlace], blocks: Sequence[Listed], own: Connection
) -> Mapping[tuple[str, str], Connection]:
    """One for each region and bucket of the list, in its order."""
    made: dict[tuple[str, str], Connection] = {}
    for place, block in zip(places, blocks, strict=True):
        here = place.region, place.bucket
        if here in made:
            continue
        if here == (own.region, own.bucket):
            made[here] = own
        elif block.vertex_ai:
            made[here] = block.vertex_ai.connection()
        else:
            made[here] = Connection.local(Home.default(), region=place.region, bucket=place.bucket)
    return made


def _checked(
    number: int,
    place: ListedPlace,
    block: Block,
    connection: Connection,
    request: Callable[[Block, Connection], JobRequest],
) -> JobRequest:
    try:
        if not connection.endpoint.local:
            check_bucket(connection)
        made = request(block, connection)
        check_request(made, region=place.region, local=connection.endpoint.local)
    except VertexError as error:
        raise error.replace(what=f"place {number} of the fall-back list, {place.shown}: {error.what}") from error
    return made
