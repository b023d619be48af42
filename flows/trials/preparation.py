"""What all trials of a sweep share, made once: the checks, the image, the data."""

# The steps are those of the flow `train`, by the same functions.

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from ...core.home import Home
from ...images.plan import Builder
from ...project.git import revision
from ...project.snapshot import Project
from ...tasks.build import build
from ...tasks.image_plan import plan_image
from ...tasks.push import push
from ...tasks.verify import ImageInEngine, verify_image
from ...vertex.job_types import Origin
from ..image_startup import place_arguments, without_runtime
from ..step_runner import Steps

if TYPE_CHECKING:
    from ...blocks.registry import ContainerRegistry
    from ...datasets.data_record import DataRecord
    from ...vertex.client.connection import Connection


class Prepared(NamedTuple):
    """What trials run.

    Attributes:
        image: What trials run, named by its digest.
        data: The data sets that every trial reads.
        origin: What the models are trained from.
    """

    image: str
    data: Sequence[DataRecord]
    origin: Origin


def prepare(
    steps: Steps,
    snapshot: Project,
    connection: Connection,
    arguments: list[str],
    *,
    registry: ContainerRegistry | None,
    builder: Builder,
    refresh: bool,
) -> Prepared:
    """Verifies, freezes, builds and pushes the project, and sends its data.

    Args:
        steps: Runs the steps.
        snapshot: The project.
        connection: Where the trials will run.
        arguments: Arguments for the local run of the script: those of a trial.
        registry: Where the image goes.
        builder: Who builds it.
        refresh: Whether cached results are left aside.

    Raises:
        TrainingError: As the steps.
    """
    from ...datasets.data_record import data_facts
    from ..train import data_in_bucket, upload_ahead, verified_and_frozen

    lock = verified_and_frozen(steps, snapshot, arguments, refresh=refresh)
    age, home = 0.0 if refresh else 3600.0, Home.default()
    plan = cache(partial(plan_image, snapshot, lock, registry=registry, builder=builder, home=home, max_age=age))
    ahead = upload_ahead(snapshot, connection)
    built = steps.run(build, plan)
    if snapshot.settings.verify == "image":
        startup = partial(place_arguments, without_runtime(snapshot.settings), docker=True)
        check = verify_image.with_options(refresh_cache=refresh)
        steps.run(check, snapshot, arguments, ImageInEngine(plan, built), startup)
    image = steps.run(push, plan, built)
    if registry and connection.endpoint.local and (login := registry.get_credentials()):
        from ...vertex.client.lent_login import lend_login

        lend_login(connection, registry.image(snapshot.settings.name).host, login.pair())
    records = data_in_bucket(steps, snapshot, connection, ahead)
    origin = Origin(
        snapshot.fingerprint,
        revision(snapshot.root),
        lock.digest,
        verified=snapshot.settings.verify != "off",
        data=[data_facts(each) for each in records],
    )
    return Prepared(image.reference, records, origin)
