"""The Docker way as a whole: what decides the image, and where it ends up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .docker_context import context_digest
from .docker_export import export
from .docker_push import push
from .layout import OciLayout
from .model import BuiltImage, ImageRequest
from .registry import Repository

if TYPE_CHECKING:
    from docker import DockerClient


def content(request: ImageRequest, bases: Mapping[str, str]) -> list[str]:
    """Everything that a build looks at, for `cache.image_fingerprint`.

    The project's own fingerprint isn't enough: Docker's ignore rules let other files into an image than ours.

    Args:
        request: With or without a Dockerfile of its own.
        bases: From `docker_build.resolve_bases`.
    """
    return [context_digest(request), *(f"{name}={digest}" for name, digest in sorted(bases.items()))]


def deliver(
    image: BuiltImage,
    *,
    engine: DockerClient,
    target: Repository | OciLayout,
    tags: Sequence[str],
    cache: Path,
    log: Callable[[str], None],
) -> BuiltImage:
    """Brings an image from the engine to where jobs find it, by digest: a registry, or this machine's layout.

    Raises:
        RegistryDenied: Who may not push, and the command that grants it.
        RegistryUnavailable: Transient.
        DockerError: No engine, or the image is no longer in it.
    """
    if isinstance(target, OciLayout):
        return export(image, engine=engine, layout=target, tags=tags, cache=cache, log=log)
    return push(image, engine=engine, target=target, tags=tags, log=log)
