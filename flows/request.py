"""The job that a run wants: the project's settings, the block of where it runs, the run itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.runtime import flow_run as current_run

from ..project.snapshot import Project
from ..vertex.connection import Connection
from ..vertex.model import JobRequest, Machine

if TYPE_CHECKING:
    from ..blocks.vertex_ai import VertexAI

RUN_LABEL = "prefect_flow_run"
"""The job's label that carries the flow run's id, for whoever knows nothing else of the job."""


def job_request(project: Project, args: list[str], connection: Connection, vertex: VertexAI | None) -> JobRequest:
    """The job that this run wants; its image isn't known yet, so a digest of zeros stands for it."""
    settings = project.settings
    run = str(current_run.id)
    output = f"gs://{connection.bucket}/{settings.name}/{run}"
    if settings.model_dir_argument:
        args = [*args, settings.model_dir_argument, f"{output.replace('gs://', '/gcs/')}/model"]
    return JobRequest(
        display_name=f"{settings.name} {current_run.name}"[:128],
        image=f"{settings.name}@sha256:{'0' * 64}",
        output=output,
        args=args,
        env=settings.env,
        labels={RUN_LABEL: run},
        machine=Machine(
            settings.machine_type or Machine().machine_type, settings.accelerator_type, settings.accelerator_count
        ),
        service_account=vertex.service_account if vertex else None,
        network=vertex.network if vertex else None,
    )
