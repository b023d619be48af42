"""`vertex-training dockerfile`."""

from __future__ import annotations

from pathlib import Path

from ..core.home import Home
from ..images.base.resolve import default_base
from ..images.docker.dockerfile_render import CONDA_BASE, render
from ..images.oci.image_types import ImageRequest
from ..project.dependencies.freeze import freeze
from ..project.snapshot import Project


def dockerfile_of(project: Path) -> str:
    """The Dockerfile that the Docker way uses for a project without one of its own."""
    home = Home.default()
    snapshot = Project.open(project, home)
    settings = snapshot.settings
    lock = freeze(snapshot.root, settings, cache=home.cache)
    request = ImageRequest(
        name=settings.name,
        root=snapshot.root,
        files=snapshot.files,
        script=settings.script,
        lock=lock.text,
        conda=lock.method if lock.conda else None,
        python=settings.python,
        base=settings.base or (CONDA_BASE if lock.conda else default_base(settings.python)),
        directories=settings.directories,
        env=settings.env,
    )
    return render(request)
