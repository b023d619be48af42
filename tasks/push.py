"""Step 4: that image in the registry, known by digest."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from ..core.home import Home
from ..images.build_lock import building
from ..images.oci.image_types import BuiltImage, LayerReport
from .build import cached, layer_line, report_layers
from .docker_engine import docker_engine
from .image_plan import ImagePlan, Planned
from .reporting.step_log import LogFunction, step_log
from .retry_policy import STEP
from .step_results import StepResult


@task(
    name="push", cache_policy=NO_CACHE, result_serializer=StepResult(holds="images.oci.image_types.BuiltImage"), **STEP
)
def push(planned: Planned, image: BuiltImage) -> BuiltImage:
    """Sends what the target lacks, then the manifest, then its tags: an image is whole or not there.

    Raises:
        RegistryDenied: Who may not push where, and the command that grants it.
        RegistryUnavailable: Transient.
    """
    log = step_log("push")
    home = Home.default()
    plan = planned()
    with building(plan.request.fingerprint, home, log):
        found = None if image.layers else plan.confirmed()
        if found is not None and (found.digest == image.digest or image.builder == "docker"):
            log(f"unchanged: {found.reference}")
            return cached(found)
        pushed = _push_docker(plan, image, log, home) if image.builder == "docker" else _push(plan, image, log, home)
    log(pushed.reference)
    if plan.remote:
        report_layers(pushed, "image-push")
    return pushed


def _push(plan: ImagePlan, image: BuiltImage, log: LogFunction, home: Home) -> BuiltImage:
    from ..images import push as engine

    def progress(layer: LayerReport) -> None:
        log(layer_line(layer))

    return engine.push(
        image, plan.layout, plan.target, tags=plan.tags, base=plan.base, cache=home.cache, progress=progress
    )


def _push_docker(plan: ImagePlan, image: BuiltImage, log: LogFunction, home: Home) -> BuiltImage:
    from ..images.docker import docker_push, export
    from ..images.registry.repository import Repository

    docker = docker_engine()
    if isinstance(plan.target, Repository):
        return docker_push.push(image, engine=docker, target=plan.target, tags=plan.tags, log=log)
    return export.export(image, engine=docker, layout=plan.layout, tags=plan.tags, cache=home.cache, log=log)
