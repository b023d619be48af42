"""`vertex-training dockerfile`: prints the Dockerfile that is used for a project without one of its own."""

from __future__ import annotations

from dataclasses import replace

from ..options import ProjectFolder


def dockerfile(project: ProjectFolder, /) -> None:
    """Print the Dockerfile that `run --builder docker` uses for a PROJECT without one of its own."""
    from ...core.home import Home
    from ...images.docker.dockerfile_render import render
    from ...images.plan import complete_request
    from ...project.dependencies.freeze import freeze
    from ...project.snapshot import Project
    from ...tasks.image_request import image_request

    home = Home.default()
    snapshot = Project.open(project, home)
    lock = freeze(snapshot.root, snapshot.settings, cache=home.cache)
    request = complete_request(image_request(snapshot, lock), "docker")
    print(render(replace(request, dockerfile=None)), end="")
