"""`vertex-training deploy`."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import ProjectError
from ..core.home import Home
from ..project.snapshot import Project
from ..project.source import check_source, is_git, repository_name
from .load_blocks import load_block
from .prefect_server import require_prefect


def deploy_project(
    project: str,
    args: list[str],
    *,
    name: str | None,
    cron: str | None,
    work_pool: str | None,
    image: str | None,
    ref: str,
    subfolder: str,
    git_token: str | None,
    registry: str | None,
    vertex: str | None,
) -> int:
    """Checks what was typed, then makes the deployment; without a work pool serves it until interrupted."""
    check_source(project, ref, subfolder, token=git_token is not None)
    if image and not work_pool:
        raise ProjectError(
            "only a work pool's runs are containers", where="--image", next_step="Name the pool: --work-pool POOL"
        )
    usual = _name(project, subfolder)  # reads a folder's project, so that a wrong one is said now
    require_prefect()
    from prefect.blocks.system import Secret

    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI
    from ..deployments.parameters import check_cron, parameters_of
    from ..deployments.pools import deploy_to_pool
    from ..deployments.serve import serve

    check_cron(cron)
    parameters = parameters_of(
        project,
        args,
        ref=ref,
        subfolder=subfolder,
        git_token=load_block(Secret, git_token, "--git-token"),
        registry=load_block(ContainerRegistry, registry, "--registry"),
        vertex=load_block(VertexAI, vertex, "--vertex"),
    )
    title = name or usual
    if work_pool is None:
        serve(name=title, parameters=parameters, cron=cron)
        return 0
    made = deploy_to_pool(work_pool, name=title, parameters=parameters, cron=cron, image=image)
    print(f"deployed {made} to the work pool {work_pool}{f', cron {cron}' if cron else ''}")
    print(f"run it now: prefect deployment run '{made}'")
    return 0


def _name(project: str, subfolder: str) -> str:
    """The project's own; of a repository, which isn't fetched yet, its last folder's."""
    if is_git(project):
        return subfolder.rstrip("/").rpartition("/")[2] or repository_name(project)
    return Project.open(Path(project) / subfolder, Home.default()).settings.name
