"""`vertex-training dockerfile`: prints the Dockerfile that is used for a project without one of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..core.home import Home
from ..images.docker.dockerfile_render import render
from ..images.plan import complete_request
from ..project.dependencies.freeze import freeze
from ..project.snapshot import Project
from ..tasks.image_request import image_request


def dockerfile_of(project: Path) -> str:
    """The Dockerfile that the docker builder uses for a project without one of its own."""
    home = Home.default()
    snapshot = Project.open(project, home)
    lock = freeze(snapshot.root, snapshot.settings, cache=home.cache)
    request = complete_request(image_request(snapshot, lock), "docker")
    return render(replace(request, dockerfile=None))
