"""Which image a run wants, made how, and kept where: decided once, used by `build` and `push`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ..core.home import Home
from ..images.base import Base, default_base, resolve_base
from ..images.cache import image_fingerprint, image_tag
from ..images.layout import OciLayout
from ..images.model import ImageRequest
from ..images.target import ImageTarget
from ..project.freeze import Lock
from ..project.snapshot import Project

if TYPE_CHECKING:
    from ..blocks.registry import ContainerRegistry

Builder = Literal["auto", "direct", "docker"]


class ImagePlan:
    """A plain class for the reason `Project` is one.

    Attributes:
        request: What the image is made of.
        base: The resolved base image of a direct build; None for none.
        builder: direct or docker.
        layout: This machine's own image layout.
        target: Where the image must lie: a registry's repository, or the layout itself.
        tag: The content's fingerprint as a tag; another machine finds the image by it.
    """

    __slots__ = ("base", "builder", "layout", "request", "tag", "target")

    def __init__(
        self,
        request: ImageRequest,
        base: Base | None,
        builder: Literal["direct", "docker"],
        layout: OciLayout,
        target: ImageTarget,
    ) -> None:
        self.request = request
        self.base = base
        self.builder = builder
        self.layout = layout
        self.target = target
        self.tag = image_tag(request.fingerprint)

    @property
    def remote(self) -> bool:
        """Whether the image goes to a registry."""
        return self.target is not self.layout


def plan_image(
    project: Project, lock: Lock, *, registry: ContainerRegistry | None, builder: Builder, home: Home
) -> ImagePlan:
    """Decides builder, base and target.

    Without a Dockerfile the direct builder is taken. Without a registry and without a base of the project's
    own, the image has no base: it runs in local_vertex with this machine's Python, and needs no download.
    """
    settings = project.settings
    layout = OciLayout(home.images, settings.name)
    target: ImageTarget = registry.target(settings.name) if registry else layout
    dockerfile = project.root / "Dockerfile"
    chosen = settings.builder if builder == "auto" else builder
    chosen = chosen or ("docker" if dockerfile.is_file() else "direct")
    wanted = settings.base or (default_base(settings.python) if registry or chosen == "docker" else None)
    base = None
    if chosen == "direct" and wanted:
        base = resolve_base(wanted, credentials=registry.base_credentials() if registry else None, cache=home.cache)
    request = ImageRequest(
        name=settings.name,
        root=project.root,
        files=project.files,
        script=settings.script,
        lock=lock.text,
        python=settings.python,
        base=wanted,
        directories=settings.directories,
        env=settings.env,
        dockerfile=dockerfile if dockerfile.is_file() else None,
    )
    print_ = image_fingerprint(
        project.fingerprint, lock.digest, base_digest=base.digest if base else "", builder=chosen
    )
    return ImagePlan(replace(request, fingerprint=print_), base, chosen, layout, target)
