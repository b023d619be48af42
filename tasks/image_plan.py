"""Plans the image of a run: the project's settings and blocks, handed to the image engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core.errors import RegistryUnavailable
from ..core.home import Home
from ..images.oci.content_tag import LATEST
from ..images.oci.image_types import ImageRequest
from ..images.oci.layout import OciLayout
from ..images.plan import BaseLookup, Builder, ImagePlan, choose_builder, complete_request, plan_direct, plan_docker
from ..images.registry.logins import docker_login
from ..project.secret_policy import refuse_secrets_in
from ..project.snapshot import Project
from .docker_engine import docker_engine
from .image_request import image_request

if TYPE_CHECKING:
    from ..blocks.registry import ContainerRegistry
    from ..project.dependencies.freeze import Lock

PlanFactory = Callable[[], ImagePlan]
"""Returns the plan, always the same one; the first call may raise what `plan_image` raises."""


def plan_image(
    project: Project,
    lock: Lock,
    *,
    registry: ContainerRegistry | None = None,
    builder: Builder = "auto",
    home: Home | None = None,
    max_age: float = 3600.0,
) -> ImagePlan:
    """The plan of a project's image, by the rules of `images.plan`.

    Args:
        project: The project's files and settings.
        lock: Its frozen dependencies.
        registry: Where the image goes; None for this machine's image layout.
        builder: The builder that the run asks for; "auto" takes the project's setting.
        home: Where caches and the layout are. Default: `VERTEX_TRAINING_HOME`.
        max_age: Seconds for which the digest of a base's tag is remembered.

    Raises:
        BaseImageError, RegistryError: The base can't be used, or its registry can't be asked.
        ProjectError: The context of the project's own Dockerfile holds a file that looks like a secret.
        DependencyError: A conda list, for the direct builder.
    """
    from ..images.registry.known_blobs import KnownBlobs
    from ..project.dependencies import freeze as freezing

    settings, home = project.settings, home or Home.default()
    if freezing.missing_wheels(lock):  # a cache that was emptied after the step's result was kept
        lock = freezing.freeze(project.root, settings, cache=home.cache, listed=project.dependencies)
    target = registry.target(settings.name) if registry else None
    if target is not None and not max_age:  # the run is to believe nothing that this machine recorded
        KnownBlobs(target, home.cache).forget()
    described = image_request(project, lock)
    chosen = choose_builder(described, (settings.builder or "auto") if builder == "auto" else builder)
    request = complete_request(described, chosen, needs_base=registry is not None)
    if request.dockerfile is not None:
        from ..images.docker.build_context import context_names

        refuse_secrets_in(context_names(request), settings, cache=home.cache)
    plan = plan_docker if chosen == "docker" else plan_direct
    with _without_base(described, chosen, registry):
        return plan(
            request,
            OciLayout(home.images, settings.name),
            target,
            project_fingerprint=project.fingerprint,
            lock_digest=lock.digest,
            lookup=BaseLookup(
                home.cache,
                registry.base_credentials() if registry else docker_login,
                docker_engine,
                max_age,
                registry.moving_tags if registry else (LATEST,),
            ),
        )


@contextmanager
def _without_base(described: ImageRequest, builder: Builder, registry: ContainerRegistry | None) -> Iterator[None]:
    """Says, where a base of the project's Dockerfile can't be reached, that a job on this machine needs none."""
    try:
        yield
    except RegistryUnavailable as error:
        if registry or builder != "docker" or described.dockerfile is None:
            raise
        step = 'Check the network, or set builder = "direct" under [tool.vertex-training], which needs no base here'
        raise error.replace(next_step=step) from error
