"""The job that a run wants: the project's settings, the block of where it runs, the run itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from prefect.runtime import flow_run as current_run

from ..project.settings.job_settings import MachineSettings, PoolSettings
from ..project.snapshot import Project
from ..vertex.client.connection import Connection
from ..vertex.job_types import JobRequest, Machine, Pool, Role
from ..vertex.labels import RUN_LABEL
from ..vertex.spec.output_folders import mounted
from ..vertex.spec.request_limits import DISPLAY_NAME_LIMIT

if TYPE_CHECKING:
    from ..blocks.vertex_ai import VertexAI


def job_request(project: Project, args: list[str], connection: Connection, vertex: VertexAI | None) -> JobRequest:
    """The job that this run wants; its image isn't known yet, so a digest of zeros stands for it.

    The project's own settings come before those of the block.
    """
    settings, job = project.settings, project.settings.job
    run = str(current_run.id)
    base = job.output.rstrip("/") if job.output else f"gs://{connection.bucket}/{settings.name}"
    output = f"{base}/{run}"
    if settings.model_dir_argument:
        args = [*args, settings.model_dir_argument, f"{mounted(output)}/model"]
    return JobRequest(
        display_name=_display_name(settings.name, str(current_run.name), run),
        image=f"{settings.name}@sha256:{'0' * 64}",
        output=output,
        args=args,
        env=settings.env,
        labels={**(vertex.labels if vertex else {}), **job.labels, RUN_LABEL: run},
        machine=machine(job.machine),
        replicas=job.replicas,
        pools={cast("Role", role): _pool(pool) for role, pool in job.pools.items()},
        service_account=job.service_account or (vertex.service_account if vertex else None),
        network=job.network or (vertex.network if vertex else None),
        tensorboard=job.tensorboard or (vertex.tensorboard if vertex else None),
        persistent_resource=job.persistent_resource or (vertex.persistent_resource if vertex else None),
        web_access=job.web_access,
        max_wait=job.max_wait,
        **_given(timeout=job.timeout, strategy=job.strategy, restarts=job.restarts),
    )


def _display_name(project: str, run_name: str, run: str) -> str:
    """Unique, for run names are not; the end that tells runs apart is never cut off."""
    end = f" {run[:8]}"
    name = run_name if run_name.startswith(project) else f"{project} {run_name}"
    return name[: DISPLAY_NAME_LIMIT - len(end)] + end


def _given(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - JobRequest's own types
    """What is set; the rest keeps its default."""
    return {name: value for name, value in values.items() if value is not None}


def machine(settings: MachineSettings) -> Machine:
    """What a project asks for; the rest keeps its default."""
    return Machine(**_given(**asdict(settings)))


def _pool(pool: PoolSettings) -> Pool:
    return Pool(machine(pool.machine) if pool.machine else None, pool.replicas, pool.image)
