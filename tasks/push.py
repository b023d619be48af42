"""Step 4, push: brings the built image to its target, where it is named by digest."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from ..core.home import Home
from ..images.build_lock import build_lock
from ..images.oci.image_types import BuiltImage, LayerReport
from ..images.plan import ImagePlan
from .build import cached, layer_line, report_layers
from .docker_engine import docker_engine
from .image_plan import PlanFactory
from .reporting.progress import step_meters
from .reporting.step_log import LogFunction, step_log
from .retry_policy import STEP
from .step_results import step_result


@task(name="push", cache_policy=NO_CACHE, result_serializer=step_result("images.oci.image_types.BuiltImage"), **STEP)
def push(make_plan: PlanFactory, image: BuiltImage) -> BuiltImage:
    """Sends the blobs that the target lacks, then the manifest, then the tags: the target has the image whole or not.

    Raises:
        RegistryDenied: The account may not push; names the command that grants the permission.
        RegistryUnavailable: The registry failed in every attempt; transient.
    """
    log = step_log("push")
    home = Home.default()
    plan = make_plan()
    with build_lock(plan.request.fingerprint, home, log):
        found = None if image.layers else plan.find_existing()
        if found is not None and (found.digest == image.digest or image.builder == "docker"):
            log(f"unchanged: {found.reference}")
            return cached(found)
        pushed = (_push_docker if image.is_in_engine else _push_direct)(plan, image, log, home)
    log(pushed.reference)
    if plan.repository and plan.repository.kept_tags:
        kept = ", ".join(plan.repository.kept_tags)
        log(
            f"the registry doesn't move the tag {kept}, which changes nothing: the image is named by its digest. "
            'Remove it from "Tags that move" in the registry\'s block'
        )
    if plan.repository:
        report_layers(pushed, "image-push")
    return pushed


def _push_direct(plan: ImagePlan, image: BuiltImage, log: LogFunction, home: Home) -> BuiltImage:
    from ..images import push as engine

    def progress(layer: LayerReport) -> None:
        log(layer_line(layer))

    return engine.push(
        image,
        plan.layout,
        plan.target,
        tags=plan.tags,
        base=plan.base,
        cache=home.cache,
        progress=progress,
        meters=step_meters(),
    )


def _push_docker(plan: ImagePlan, image: BuiltImage, log: LogFunction, home: Home) -> BuiltImage:
    from ..images.docker import docker_push, export

    engine = docker_engine()
    features = plan.request.runtime_features
    # The content tag is for the whole image; the engine can push only under a tag.
    tags = [f"{plan.tags[0]}-without-runtime"] if features else plan.tags
    meters = step_meters()
    if plan.repository:
        pushed = docker_push.push(image, engine=engine, target=plan.repository, tags=tags, log=log, meters=meters)
    else:
        pushed = export.export(
            image, engine=engine, layout=plan.layout, tags=tags, cache=home.cache, log=log, meters=meters
        )
    if not features:
        return pushed
    from ..images.docker.find_python import find_python
    from ..images.runtime_layer import add_runtime

    python = find_python(engine, image.digest, " and ".join(features))
    log(f"adding the runtime, for {' and '.join(features)}")
    return add_runtime(pushed, plan.target, python, plan.tags, plan.request.command)
