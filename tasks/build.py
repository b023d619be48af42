"""Step 3: an image of code and dependencies, identified by content."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from ..core.home import Home
from ..images.build_lock import building
from ..images.oci.content_tag import find
from ..images.oci.image_types import BuiltImage, LayerReport
from .docker_engine import docker_engine
from .image_plan import ImagePlan, Planned
from .reporting.artifacts import artifact_key, copyable
from .reporting.step_log import LogFunction, step_log
from .retry_policy import STEP
from .step_results import StepResult


# The one cache of images is the place where they lie. Prefect's cache would have to be confirmed there anyway,
# and it doesn't know of what another machine built, so the step asks and calls itself Cached.
@task(
    name="build", cache_policy=NO_CACHE, result_serializer=StepResult(holds="images.oci.image_types.BuiltImage"), **STEP
)
def build(planned: Planned) -> BuiltImage:
    """Builds the image, unless its target has it already; of two runs at once, one builds.

    Raises:
        ImageError: A wheel, the base or the Dockerfile can't be used.
        RegistryError: The base or the target refused.
        ProjectError: As `plan_image`.
    """
    from ..images.push import close_ahead, open_ahead

    log = step_log("build")
    home = Home.default()
    plan = planned()
    with building(plan.request.fingerprint, home, log) as waited:
        if plan.builder == "direct":
            open_ahead(plan.target, plan.layout, plan.request.fingerprint, home.cache)
        found = plan.confirmed()
        if found is None and waited:
            # Whoever held the lock built it; its push may not have come to an end yet.
            found = find(plan.layout, plan.request.fingerprint)
        if found is not None:
            close_ahead(plan.target)
            log(f"unchanged: {found.reference}")
            return cached(found)
        image = _build_docker(plan, log, waited=waited) if plan.builder == "docker" else _build_direct(plan, log, home)
    log(f"{image.reference} ({image.size:,} bytes)")
    if image.layers:
        report_layers(image, "image-build")
    return image


def _build_direct(plan: ImagePlan, log: LogFunction, home: Home) -> BuiltImage:
    from ..images import build

    return build.build(
        plan.request,
        plan.layout,
        cache=home.cache,
        base=plan.base,
        upload_to=plan.target if plan.remote else None,
        progress=lambda layer: log(layer_line(layer)),
    )


def _build_docker(plan: ImagePlan, log: LogFunction, *, waited: bool) -> BuiltImage:
    from ..images.docker import docker_build
    from ..images.registry.repository import Repository

    engine = docker_engine()
    if waited and (built := docker_build.built_before(plan.request, engine=engine, tag=plan.tags[0])):
        return built
    if isinstance(plan.target, Repository):
        plan.target.check_push()  # who may not push learns it before the build, not after
    return docker_build.build(
        plan.request, engine=engine, tag=plan.tags[0], log=log, bases=plan.bases, credentials=plan.credentials
    )


def cached(image: BuiltImage) -> Any:  # noqa: ANN401 - a state, which Prefect unwraps: callers get the image
    """Ends a step as Cached: its image was confirmed where it lies."""
    return Completed(name="Cached", message=f"confirmed: {image.reference}", data=image)


def layer_line(layer: LayerReport) -> str:
    """One layer in one line: what happened, what it holds, how much, how long."""
    return f"{layer.action:<8} {layer.title}  {layer.size:,} bytes  {layer.seconds:.2f} s"


def report_layers(image: BuiltImage, key: str) -> None:
    """Writes the table of layers as an artifact of the run."""
    head = "| layer | what happened | bytes | seconds | digest |\n|---|---|---:|---:|---|"
    rows = "\n".join(
        f"| {layer.title} | {layer.action} | {layer.size:,} | {layer.seconds:.2f} | `{layer.digest[:19]}` |"
        for layer in image.layers
    )
    create_markdown_artifact(
        f"{copyable(image.reference)}\n\n{head}\n{rows}\n",
        key=artifact_key(key),
        description="The image's layers",
    )
