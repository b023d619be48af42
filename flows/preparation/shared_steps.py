"""The steps before the job, which a training and a sweep share: verify, freeze, build, push, data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from ...core.home import Home
from ...images.oci.image_types import BuiltImage
from ...images.plan import Builder
from ...project.snapshot import Project
from ...tasks.build import build
from ...tasks.freeze import freeze as freeze_step
from ...tasks.image_plan import plan_image
from ...tasks.push import push
from ...tasks.verify import ImageInEngine, verify_image
from ...tasks.verify import leave_out as leave_out_verify
from ...tasks.verify import verify as verify_step
from ..image_startup import place_arguments, without_runtime
from ..step_runner import Steps

if TYPE_CHECKING:
    from ...blocks.registry import ContainerRegistry
    from ...datasets.data_record import DataRecord
    from ...project.dependencies.freeze import Lock
    from ...tasks.data import UploadAhead
    from ...vertex.client.connection import Connection


class Prepared(NamedTuple):
    """What jobs run.

    Attributes:
        image: The image.
        lock: The project's frozen dependencies.
        data: The data sets that every job reads.
    """

    image: BuiltImage
    lock: Lock
    data: Sequence[DataRecord]


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
        connection: Where the jobs will run.
        arguments: Arguments for the local run of the script.
        registry: Where the image goes.
        builder: Who builds it.
        refresh: Whether cached results are left aside.

    Raises:
        TrainingError: As the steps.
    """
    lock = _verified_and_frozen(steps, snapshot, arguments, refresh=refresh)
    age, home = 0.0 if refresh else 3600.0, Home.default()
    # Planned when `build` first asks for it: if the base can't be reached, that step fails and is retried.
    plan = cache(partial(plan_image, snapshot, lock, registry=registry, builder=builder, home=home, max_age=age))
    ahead = _upload_ahead(snapshot, connection)
    built = steps.run(build, plan)
    if snapshot.settings.verify == "image":
        startup = partial(place_arguments, without_runtime(snapshot.settings), docker=True)
        check = verify_image.with_options(refresh_cache=refresh)
        steps.run(check, snapshot, arguments, ImageInEngine(plan, built), startup)
    image = steps.run(push, plan, built)
    if registry and connection.endpoint.local and (login := registry.get_credentials()):
        from ...vertex.client.lent_login import lend_login

        lend_login(connection, registry.image(snapshot.settings.name).host, login.pair())
    return Prepared(image, lock, _data_in_bucket(steps, snapshot, connection, ahead))


def _verified_and_frozen(steps: Steps, project: Project, args: list[str], *, refresh: bool) -> Lock:
    """Runs steps 1 and 2; a locked run of the script needs the frozen list first.

    So does one that is refreshed: a clean environment is made of the lock, whose wheels may be gone.
    """
    if project.settings.verify == "off":
        leave_out_verify()
    if project.settings.verify in {"off", "image"}:
        return steps.run(freeze_step.with_options(refresh_cache=refresh), project, refresh)
    first = refresh or project.settings.verify == "locked"
    lock = steps.run(freeze_step.with_options(refresh_cache=refresh), project, refresh) if first else None
    steps.run(verify_step.with_options(refresh_cache=refresh), project, args)
    return lock or steps.run(freeze_step.with_options(refresh_cache=refresh), project, refresh)


def _upload_ahead(project: Project, connection: Connection) -> UploadAhead | None:
    """Begins to send the project's data sets, beside the steps that follow; None without any."""
    if not any(each.path for each in project.settings.data):
        return None
    from ...tasks.data import UploadAhead

    return UploadAhead(project, connection)


def _data_in_bucket(
    steps: Steps, project: Project, connection: Connection, ahead: UploadAhead | None
) -> list[DataRecord]:
    """Runs the step `data`, if the project has data sets."""
    if not project.settings.data:
        return []
    from ...tasks.data import data as data_step

    if ahead is not None:
        ahead.wait()
    return steps.run(data_step, project, connection).sets
