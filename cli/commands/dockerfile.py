"""`vertex-training dockerfile`: prints the Dockerfile that the docker builder uses for a project without one."""

from __future__ import annotations

from ..options import ProjectFolder


def dockerfile(project: ProjectFolder, /) -> None:
    """Print the Dockerfile that `run --builder docker` uses for a PROJECT without one of its own."""
    from ..dockerfile import dockerfile_of

    print(dockerfile_of(project), end="")
