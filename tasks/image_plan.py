"""Which image a run wants, made how, and kept where: decided once, used by `build` and `push`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ..core.errors import DependencyError
from ..core.home import Home
from ..images.docker.dockerfile_render import CONDA_BASE
from ..images.oci.content_tag import LATEST, find, image_fingerprint, image_tag
from ..images.oci.image_types import BuiltImage, ImageRequest
from ..images.oci.layout import OciLayout
from ..images.oci.target import ImageTarget
from ..images.registry.auth import Credentials, docker_login
from ..project.git import revision
from ..project.secret_policy import refuse_secrets_in
from ..project.snapshot import Project
from .docker_engine import docker_engine

if TYPE_CHECKING:
    from ..blocks.registry import ContainerRegistry
    from ..images.base.resolve import Base
    from ..project.dependencies.freeze import Lock

Builder = Literal["auto", "direct", "docker"]
Planned = Callable[[], "ImagePlan"]
"""Gives the plan, always the same one; the first call may raise what `plan_image` raises."""
REVISION = "org.opencontainers.image.revision"


class ImagePlan:
    """A plain class for the reason `Project` is one.

    Attributes:
        request: What the image is made of, with its fingerprint.
        builder: direct or docker.
        base: Of a direct build: the resolved base image; None for none.
        bases: Of a Docker build: the images that the Dockerfile names, by digest.
        credentials: Who asks which host for them.
        layout: This machine's own image layout.
        target: Where the image must lie: a registry's repository, or the layout itself.
    """

    def __init__(
        self,
        request: ImageRequest,
        builder: Literal["direct", "docker"],
        layout: OciLayout,
        target: ImageTarget,
        *,
        base: Base | None = None,
        bases: Mapping[str, str] | None = None,
        credentials: Callable[[str], Credentials | None] = docker_login,
    ) -> None:
        self.request = request
        self.builder: Literal["direct", "docker"] = builder
        self.layout = layout
        self.target = target
        self.base = base
        self.bases = bases or {}
        self.credentials = credentials

    @property
    def remote(self) -> bool:
        """Whether the image goes to a registry."""
        return self.target is not self.layout

    @property
    def tags(self) -> list[str]:
        """The content's fingerprint, by which another machine finds the image, and one for people."""
        return [image_tag(self.request.fingerprint), LATEST]

    def confirmed(self) -> BuiltImage | None:
        """The image as its target confirms it now; None if it has to be made."""
        found = find(self.target, self.request.fingerprint)
        if found and not self.remote and not self.layout.is_whole(found.digest):
            return None
        return found


def plan_image(
    project: Project,
    lock: Lock,
    *,
    registry: ContainerRegistry | None,
    builder: Builder,
    home: Home,
    max_age: float = 3600.0,
) -> ImagePlan:
    """Decides builder, base and target.

    Without a Dockerfile the direct builder is taken. Without a registry and without a base of the project's own, the
    image has no base: it runs in local_vertex with this machine's Python, and needs no download.

    Args:
        project: What is trained.
        lock: Its frozen dependencies.
        registry: Where the image goes; None for this machine's layout.
        builder: As asked for.
        home: Where caches lie.
        max_age: Seconds for which a base's tag is not asked again.

    Raises:
        BaseImageError, RegistryError: The base can't be used or can't be asked.
        ProjectError: What looks like a secret would go into the context of the project's own Dockerfile.
        DependencyError: A list of conda's, for the direct builder.
    """
    from ..images.base.resolve import base_digest, default_base, resolve_base
    from ..project.dependencies import freeze as engine

    settings = project.settings
    layout = OciLayout(home.images, settings.name)
    target: ImageTarget = registry.target(settings.name) if registry else layout
    dockerfile = project.root / "Dockerfile"
    chosen = settings.builder if builder == "auto" else builder
    chosen = chosen or ("docker" if dockerfile.is_file() or lock.conda else "direct")
    if lock.conda and chosen == "direct":
        raise DependencyError(
            f"{lock.method} is conda's, and --builder direct installs wheels",
            where=project.root,
            next_step="Leave --builder out, which takes Docker and conda, or translate the list: --translate",
        )
    if engine.missing_wheels(lock):  # a cache that was emptied after the step's result was kept
        lock = engine.freeze(project.root, settings, cache=home.cache)
    usual = CONDA_BASE if lock.conda else default_base(settings.python)
    wanted = settings.base or (usual if registry or chosen == "docker" else None)
    request = ImageRequest(
        name=settings.name,
        root=project.root,
        files=project.files,
        script=settings.script,
        lock=lock.text,
        conda=lock.method if lock.conda else None,
        python=settings.python,
        base=wanted,
        directories=settings.directories,
        env=settings.env,
        labels={REVISION: commit} if (commit := revision(project.root)) else {},
        dockerfile=dockerfile if chosen == "docker" and dockerfile.is_file() else None,
        build_args=settings.build_args,
        target=settings.build_target if dockerfile.is_file() else None,
    )

    asking = registry.base_credentials() if registry else docker_login
    if chosen == "docker":
        from ..images.docker.build_context import context_names
        from ..images.docker.docker_build import resolve_bases

        def digest(text: str) -> str:
            return base_digest(text, cache=home.cache, max_age=max_age, credentials=asking)

        if request.dockerfile is not None:
            refuse_secrets_in(context_names(request), settings, cache=home.cache)
        bases = resolve_bases(request, digest, docker_engine)
        fingerprint = _docker_fingerprint(project, lock, request, bases)
        return ImagePlan(
            replace(request, fingerprint=fingerprint), "docker", layout, target, bases=bases, credentials=asking
        )
    base = None
    if wanted:
        base = resolve_base(wanted, python=settings.python, cache=home.cache, max_age=max_age, credentials=asking)
    fingerprint = image_fingerprint(
        project.fingerprint, lock.digest, base_digest=base.digest if base else "", builder="direct"
    )
    return ImagePlan(replace(request, fingerprint=fingerprint), "direct", layout, target, base=base)


def _docker_fingerprint(project: Project, lock: Lock, request: ImageRequest, bases: Mapping[str, str]) -> str:
    from ..images.docker.build_context import context_digest

    content = [context_digest(request), *(f"{name}={digest}" for name, digest in sorted(bases.items()))]
    return image_fingerprint(project.fingerprint, lock.digest, base_digest="", builder="docker", content=content)
