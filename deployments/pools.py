"""Deployments on a work pool: any worker of it executes the runs, not the program that made the deployment."""

from __future__ import annotations

from typing import Any

from ..core.errors import ProjectError
from ..project.source import is_git

_HERE = {"process"}
"""Pools whose workers see this machine's folders, if they run on it."""


def deploy_to_pool(
    pool: str,
    *,
    name: str,
    parameters: dict[str, Any],
    cron: str | None = None,
    image: str | None = None,
) -> str:
    """Makes or replaces a deployment of `train` on a work pool; returns its name as `prefect deployment run` takes it.

    Args:
        pool: The work pool's name.
        name: The deployment's name.
        parameters: The flow's.
        cron: When to run, in UTC; None runs only what is triggered.
        image: For pools that run containers: an image that holds this package.

    Raises:
        ProjectError: No such pool; or its workers can't work with this project or this image.
    """
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner.storage import LocalStorage
    from prefect.types.entrypoint import EntrypointType

    from ..flows.train import train

    kind = _type_of(pool)
    _check(pool, kind, str(parameters["project"]), image)
    deployment = RunnerDeployment.from_flow(
        train,
        name=name,
        cron=cron,
        parameters=parameters,
        work_pool_name=pool,
        job_variables={"image": image} if image else {},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    if kind not in _HERE:
        # Where a deployment names no code to fetch, Prefect copies the working directory: in a container all of /.
        deployment.storage = LocalStorage("/")
    deployment.apply()
    return f"{train.name}/{name}"


def _type_of(pool: str) -> str:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            return client.read_work_pool(pool).type
        except ObjectNotFound:
            names = ", ".join(sorted(found.name for found in client.read_work_pools())) or "none"
    raise ProjectError(
        f"there is no such work pool; there is {names}",
        where=f"--work-pool {pool}",
        next_step=f"Make it: prefect work-pool create {pool} --type process",
    )


def _check(pool: str, kind: str, project: str, image: str | None) -> None:
    where = f"--work-pool {pool}, of type {kind}"
    if kind in _HERE:
        if image:
            raise ProjectError("its runs are processes, not containers", where=where, next_step="Leave --image out")
        return
    if not is_git(project):
        raise ProjectError(
            f"its runs can't see the folder {project}",
            where=where,
            next_step="Give the project's git repository, or a process work pool whose worker runs on this machine",
        )
    if not image:
        raise ProjectError(
            "its runs are containers, of an image that holds this package",
            where=where,
            next_step="Name one: --image IMAGE; docs/schedule.md shows how to make it",
        )
