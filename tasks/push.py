"""Step 4: that image in the registry, known by digest."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from ..core.home import Home
from ..images import push as engine
from ..images.cache import building, find
from ..images.model import BuiltImage
from .build import cached, layer_line, report_layers
from .log import step_log
from .plan import ImagePlan
from .policy import STEP


@task(name="push", cache_policy=NO_CACHE, **STEP)
def push(plan: ImagePlan, image: BuiltImage) -> BuiltImage:
    """Sends what the target lacks, then the manifest, then its tags: an image is whole or not there.

    Raises:
        RegistryDenied: Who may not push where, and the command that grants it.
        RegistryUnavailable: Transient.
    """
    log = step_log("push")
    with building(plan.request.fingerprint, Home.default()):
        if not image.layers:  # nothing was built in this run
            found = find(plan.target, plan.request.fingerprint)
            if found is not None and found.digest == image.digest:
                log(f"unchanged: {found.reference}")
                return cached(found)
        pushed = engine.push(
            image,
            plan.layout,
            plan.target,
            tags=[plan.tag, "latest"],
            base=plan.base,
            progress=lambda layer: log(layer_line(layer)),
        )
    log(pushed.reference)
    if plan.remote:
        report_layers(pushed, "image-push")
    return pushed
