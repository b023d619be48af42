"""`vertex-training deploy`."""

from __future__ import annotations

from pathlib import Path

from ..core.home import Home
from ..project.snapshot import Project
from .prefect_api import require_prefect
from .saved import load_block


def deploy_project(
    project: Path,
    args: list[str],
    *,
    name: str | None,
    cron: str | None,
    registry: str | None,
    vertex: str | None,
) -> int:
    """Checks the project, then serves its deployment until interrupted; returns the exit code."""
    snapshot = Project.open(project, Home.default())
    require_prefect()
    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI
    from ..deployments.serve import serve

    serve(
        project,
        name=name or snapshot.settings.name,
        args=args,
        registry=load_block(ContainerRegistry, registry, "--registry"),
        vertex=load_block(VertexAI, vertex, "--vertex"),
        cron=cron,
    )
    return 0
