"""Step 3, build: makes the image of code and dependencies, unless its target has an image of the same content."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from ..core.errors import DockerError
from ..core.home import Home
from ..images.build_lock import build_lock
from ..images.oci.content_tag import find_image
from ..images.oci.image_types import BuiltImage, LayerReport
from ..images.plan import ImagePlan
from .docker_engine import docker_engine
from .image_plan import PlanFactory
from .image_request import secrets_of
from .reporting.artifacts import artifact_key
from .reporting.markdown import copyable, table
from .reporting.progress import step_meters
from .reporting.step_log import LogFunction, step_log
from .retry_policy import STEP
from .step_results import step_result


# The target itself is the cache of images. Prefect's cache would have to be checked against it anyway, and doesn't
# know what other machines built, so the step asks the target and ends as Cached by itself.
@task(name="build", cache_policy=NO_CACHE, result_serializer=step_result("images.oci.image_types.BuiltImage"), **STEP)
def build(make_plan: PlanFactory) -> BuiltImage:
    """Builds the image, unless its target has it already; of two runs at once, one builds.

    Raises:
        ImageError: A wheel, the base or the Dockerfile can't be used.
        RegistryError: The base's registry or the target refused.
        ProjectError: As for `plan_image`.
    """
    from ..images.push import prepare_uploads

    log = step_log("build")
    home = Home.default()
    plan = make_plan()
    with build_lock(plan.request.fingerprint, home, log) as waited:
        if plan.builder == "direct":
            prepare_uploads(plan.target, plan.layout, plan.request.fingerprint, home.cache)
        found = plan.find_existing()
        if found is None and waited:
            # The run that held the lock has built the image; it may not have pushed it yet.
            found = find_image(plan.layout, plan.request.fingerprint)
        if found is not None:
            plan.target.discard_uploads()
            log(f"unchanged: {found.reference}")
            return cached(found)
        image = _build_docker(plan, log, waited=waited) if plan.builder == "docker" else _build_direct(plan, log, home)
    log(f"{image.reference} ({image.size:,} bytes)")
    if image.layers:
        report_layers(image, "image-build")
    return image


def _build_direct(plan: ImagePlan, log: LogFunction, home: Home) -> BuiltImage:
    from ..images import build

    image = build.build(
        plan.request,
        plan.layout,
        cache=home.cache,
        base=plan.base,
        upload_to=plan.repository,
        progress=lambda layer: log(layer_line(layer)),
        meters=step_meters(),
    )
    for remark in plan.base.contents.remarks if plan.base else ():
        log(remark)
    return image


def _build_docker(plan: ImagePlan, log: LogFunction, *, waited: bool) -> BuiltImage:
    from ..images.buildkit.buildctl import daemon_address
    from ..images.docker import docker_build

    try:
        engine = docker_engine()
    except DockerError:
        if not daemon_address():
            raise
        return _build_with_buildkit(plan, log)
    if waited and (built := docker_build.find_built(plan.request, engine=engine, tag=plan.tags[0])):
        return built
    if plan.repository:
        plan.repository.check_push()  # a missing permission is reported before the build, not after
    image = docker_build.build(
        plan.request,
        engine=engine,
        tag=plan.tags[0],
        log=log,
        bases=plan.bases,
        credentials=plan.credentials,
        meters=step_meters(),
        secrets=secrets_of(plan.request, log),
    )
    if plan.request.runtime_features:
        from ..images.docker.find_python import find_python

        find_python(engine, image.digest, " and ".join(plan.request.runtime_features))  # refused before the push
    return image


def _build_with_buildkit(plan: ImagePlan, log: LogFunction) -> BuiltImage:
    """Builds the image in this machine's layout, whole: a daemon of BuildKit keeps none."""
    from ..images.buildkit import buildkit_build

    log("no Docker engine answers: building with BUILDKIT_HOST")
    if plan.repository:
        plan.repository.check_push()
    image = buildkit_build.build(
        plan.request,
        plan.layout,
        log=log,
        bases=plan.bases,
        credentials=plan.credentials,
        meters=step_meters(),
        secrets=secrets_of(plan.request, log),
    )
    if not (features := plan.request.runtime_features):
        return image
    from ..images.buildkit.layout_python import find_python_in_layout
    from ..images.runtime_layer import add_runtime

    python = find_python_in_layout(plan.layout, image.digest, " and ".join(features), cache=Home.default().cache)
    log(f"adding the runtime, for {' and '.join(features)}")
    return add_runtime(image, plan.layout, python, [], plan.request.command)


def cached(image: BuiltImage) -> Any:  # noqa: ANN401 - a state, which Prefect unwraps: callers get the image
    """Ends a step as Cached: the target confirmed that it has the image."""
    return Completed(name="Cached", message=f"confirmed: {image.reference}", data=image)


def layer_line(layer: LayerReport) -> str:
    """A layer as one line: what happened to it, what it holds, its size, the time it took."""
    return f"{layer.action:<8} {layer.title}  {layer.size:,} bytes  {layer.seconds:.2f} s"


def report_layers(image: BuiltImage, key: str) -> None:
    """Writes the table of layers as an artifact of the run."""
    rows = [
        (layer.title, layer.action, f"{layer.size:,}", f"{layer.seconds:.2f}", layer.digest[:19])
        for layer in image.layers
    ]
    layers = table(["layer", "what happened", "bytes", "seconds", "digest"], rows, numbers={2, 3})
    create_markdown_artifact(
        f"{copyable(image.reference)}\n\n{layers}\n", key=artifact_key(key), description="The image's layers"
    )
