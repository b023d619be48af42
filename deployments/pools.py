"""Deployments on a work pool, whose workers execute the runs."""

from __future__ import annotations

from typing import Any

from ..core.errors import ProjectError
from ..project.source import is_git
from .deployed_flows import FlowName, deployed_flow

_HERE = {"process"}
"""Types of work pools whose runs can read this machine's folders, if their worker runs on it."""


def deploy_to_pool(
    pool: str,
    *,
    name: str,
    parameters: dict[str, Any],
    cron: str | None = None,
    image: str | None = None,
    flow: FlowName = "train",
) -> str:
    """Creates or replaces a deployment of a flow on a work pool; returns its name for `prefect deployment run`.

    Args:
        pool: The work pool's name.
        name: The deployment's name.
        parameters: Parameters of the flow.
        cron: Schedule in UTC. Default: none; runs have to be triggered.
        image: For pools that run containers: an image with this package.
        flow: The flow.

    Raises:
        ProjectError: There is no such pool, or its runs can't use this project or this image.
    """
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner.storage import LocalStorage
    from prefect.types.entrypoint import EntrypointType

    kind = _type_of(pool)
    _check(pool, kind, str(parameters["project"]), image)
    deployment = RunnerDeployment.from_flow(
        deployed_flow(flow),
        name=name,
        cron=cron,
        parameters=parameters,
        work_pool_name=pool,
        job_variables={"image": image} if image else {},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    if kind not in _HERE:
        # Without a storage Prefect would copy the working directory, which in a container is all of `/`.
        deployment.storage = LocalStorage("/")
    deployment.apply()
    return f"{flow}/{name}"


def _type_of(pool: str) -> str:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            return client.read_work_pool(pool).type
        except ObjectNotFound:
            names = ", ".join(sorted(found.name for found in client.read_work_pools())) or "none"
    raise ProjectError(
        f"there is no such work pool; existing ones: {names}",
        where=f"--work-pool {pool}",
        next_step=f"Create it: prefect work-pool create {pool} --type process",
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
