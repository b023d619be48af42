"""Decides how an image is made: the builder, the base image, where the image goes, and its content fingerprint.

Everything else that builds, pushes or prints a Dockerfile asks here. The decision takes plain values, and needs the
network only for the digests of base images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..core.errors import DependencyError
from .base.default_images import CONDA_BASE, default_base
from .oci.content_tag import LATEST, find_image, image_fingerprint, image_tag
from .oci.image_types import BuiltImage, ImageRequest
from .oci.layout import OciLayout
from .oci.target import ImageTarget
from .registry.auth import CredentialsFor
from .registry.logins import docker_login

if TYPE_CHECKING:
    from docker import DockerClient

    from .base.resolve import Base
    from .registry.repository import Repository

ResolvedBuilder = Literal["direct", "docker"]
Builder = Literal["auto", "direct", "docker"]


class ImagePlan:
    """How one image is made, and where it goes.

    A plain class on purpose: Prefect walks through dataclasses among a task's inputs, which with thousands of files
    would cost more than the step.

    Attributes:
        request: What the image is made of, with its base and its fingerprint.
        builder: "direct" or "docker".
        layout: This machine's image layout.
        repository: The registry's repository for the image; None if it stays in the layout.
        cache: The folder of records of what the repository has.
        moving_tags: Tags that every push moves to its image.
        base: For the direct builder: the resolved base image; None for an image without one.
        bases: For the docker builder: the images that the Dockerfile names, with their digests.
        credentials: Credentials for the registries of the base images.
    """

    def __init__(
        self,
        request: ImageRequest,
        builder: ResolvedBuilder,
        layout: OciLayout,
        repository: Repository | None,
        *,
        cache: Path,
        moving_tags: Sequence[str] = (LATEST,),
        base: Base | None = None,
        bases: Mapping[str, str] | None = None,
        credentials: CredentialsFor = docker_login,
    ) -> None:
        self.request = request
        self.builder: ResolvedBuilder = builder
        self.layout = layout
        self.repository = repository
        self.cache = cache
        self.moving_tags = moving_tags
        self.base = base
        self.bases = bases or {}
        self.credentials = credentials

    @property
    def target(self) -> ImageTarget:
        """Where the image goes: the repository if there is one, else the layout."""
        return self.repository or self.layout

    @property
    def tags(self) -> list[str]:
        """The tags of the image: its content tag, by which other machines find it, and those that move."""
        return [image_tag(self.request.fingerprint), *self.moving_tags]

    def find_existing(self) -> BuiltImage | None:
        """The image, if the target has all of it now; None if it must be made or sent again.

        Raises:
            RegistryError: The target can't be asked.
        """
        if self.repository is not None:
            from .confirm import confirmed_image

            return confirmed_image(self.repository, self.request.fingerprint, layout=self.layout, cache=self.cache)
        found = find_image(self.layout, self.request.fingerprint)
        if found is None or not self.layout.is_whole(found.digest):
            return None
        self.layout.touch(found.digest)
        return found


class BaseLookup(NamedTuple):
    """How base images are looked up.

    Attributes:
        cache: The folder that remembers base images.
        credentials: Credentials for a registry's host.
        engine: Connects to the Docker engine, which may hold images that are in no registry.
        max_age: Seconds for which the digest of a tag is remembered; 0 always asks the registry.
        moving_tags: Tags that every push moves to its image.
    """

    cache: Path
    credentials: CredentialsFor
    engine: Callable[[], DockerClient]
    max_age: float = 3600.0
    moving_tags: Sequence[str] = (LATEST,)


def choose_builder(request: ImageRequest, choice: Builder) -> ResolvedBuilder:
    """The builder for a project: docker for a Dockerfile or a conda list, else direct, unless one is chosen.

    Raises:
        DependencyError: The direct builder was chosen for a conda list.
    """
    if choice == "auto":
        return "docker" if request.dockerfile or request.conda else "direct"
    if request.conda and choice == "direct":
        raise DependencyError(
            f"{request.conda} is conda's, and --builder direct installs wheels",
            where=request.root,
            next_step="Leave --builder out, which takes Docker and conda, or translate the list: --translate",
        )
    return choice


def complete_request(request: ImageRequest, builder: ResolvedBuilder, *, needs_base: bool = True) -> ImageRequest:
    """The request with what the builder uses: its base image, and the Dockerfile only for docker.

    Args:
        request: As the project describes it.
        builder: From `choose_builder`.
        needs_base: Whether the direct builder needs a base. Without one the image runs in local_vertex with this
            machine's Python, and nothing is downloaded for it.

    Raises:
        BaseImageError: There is no default base for the project's Python.
    """
    base = request.base
    if base is None and (needs_base or builder == "docker"):
        base = CONDA_BASE if request.conda else default_base(request.python)
    return replace(request, base=base, dockerfile=request.dockerfile if builder == "docker" else None)


def plan_direct(
    request: ImageRequest,
    layout: OciLayout,
    repository: Repository | None,
    *,
    project_fingerprint: str,
    lock_digest: str,
    lookup: BaseLookup,
) -> ImagePlan:
    """The plan of an image that the direct builder makes.

    Args:
        request: From `complete_request`.
        layout: This machine's image layout.
        repository: Where the image goes; None for the layout.
        project_fingerprint: Hash of the project's files and settings.
        lock_digest: Hash of the frozen dependencies.
        lookup: How base images are looked up.

    Raises:
        BaseImageError: The base doesn't exist or can't be used.
        RegistryError: The base's registry can't be asked.
    """
    from .base.resolve import resolve_base

    base = request.base and resolve_base(
        request.base,
        python=request.python,
        interpreter=request.base_python,
        cache=lookup.cache,
        max_age=lookup.max_age,
        credentials=lookup.credentials,
    )
    fingerprint = image_fingerprint(
        project_fingerprint,
        lock_digest,
        base_digest=base.digest if base else "",
        builder="direct",
        content=[*_runtime(request), *([f"python={request.base_python}"] if request.base_python else [])],
    )
    return ImagePlan(
        replace(request, fingerprint=fingerprint),
        "direct",
        layout,
        repository,
        cache=lookup.cache,
        moving_tags=lookup.moving_tags,
        base=base or None,
        credentials=lookup.credentials,
    )


def plan_docker(
    request: ImageRequest,
    layout: OciLayout,
    repository: Repository | None,
    *,
    project_fingerprint: str,
    lock_digest: str,
    lookup: BaseLookup,
) -> ImagePlan:
    """The plan of an image that a Docker engine builds; arguments as for `plan_direct`.

    Raises:
        BaseImageError: A base that neither its registry nor the engine has.
        RegistryError: A base's registry can't be asked.
        DockerError: The Dockerfile or its context can't be read.
    """
    from .base.resolve import base_digest
    from .docker.build_context import context_digest
    from .docker.docker_build import resolve_bases

    def digest_of(base: str) -> str:
        return base_digest(base, cache=lookup.cache, max_age=lookup.max_age, credentials=lookup.credentials)

    bases = resolve_bases(request, digest_of, lookup.engine)
    content = [context_digest(request), *(f"{name}={digest}" for name, digest in sorted(bases.items()))]
    content += _runtime(request)
    fingerprint = image_fingerprint(project_fingerprint, lock_digest, base_digest="", builder="docker", content=content)
    return ImagePlan(
        replace(request, fingerprint=fingerprint),
        "docker",
        layout,
        repository,
        cache=lookup.cache,
        moving_tags=lookup.moving_tags,
        bases=bases,
        credentials=lookup.credentials,
    )


def _runtime(request: ImageRequest) -> list[str]:
    """What an image with the runtime adds to its fingerprint: a newer runtime is another image."""
    from .runtime_layer import runtime_digest

    return [f"runtime={runtime_digest()}"] if request.runtime_features else []
