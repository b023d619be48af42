"""The road: from a project's folder to a model that a cloud job made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.runtime import flow_run as current_run

from ..blocks.registry import ContainerRegistry
from ..blocks.vertex_ai import VertexAI
from ..core.errors import ProjectError
from ..core.home import Home
from ..project.snapshot import Project
from ..tasks.build import build
from ..tasks.freeze import freeze
from ..tasks.plan import Builder, plan_image
from ..tasks.push import push
from ..tasks.receipt import receipt
from ..tasks.submit import submit
from ..tasks.verify import verify
from ..tasks.watch import watch
from ..vertex import spec, submission
from ..vertex.connection import Connection
from ..vertex.model import JobRequest, Machine
from .result import TrainingResult
from .steps import Steps

RUN_LABEL = "prefect-flow-run"


def stop_job(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Cancels what a cancelled or crashed run left behind; runs in another process, knows only the run."""
    vertex = flow.validate_parameters(flow_run.parameters).get("vertex")
    connection = _connection(vertex)
    for job in submission.find_labelled(connection, RUN_LABEL, str(flow_run.id)):
        submission.cancel(connection, job.name)


@flow(name="train", on_cancellation=[stop_job], on_crashed=[stop_job])
def train(
    project: Path,
    args: list[str] | None = None,
    registry: ContainerRegistry | None = None,
    vertex: VertexAI | None = None,
    builder: Builder = "auto",
    refresh: bool = False,
) -> TrainingResult:
    """Takes a project from this machine to a finished training job and its model.

    Args:
        project: The project's folder on the machine that runs this flow.
        args: The training script's arguments.
        registry: Where the image goes; none keeps it in this machine's image layout.
        vertex: Where the job runs; none runs it on this machine, in local_vertex.
        builder: direct, docker, or auto: docker for a project with a Dockerfile.
        refresh: Verify and freeze again even if nothing changed.

    Raises:
        TrainingError: One line: what was wrong, where, and the next step.
    """
    home = Home.default()
    if vertex and not registry:
        raise ProjectError(
            "a job in the cloud can't reach an image on this machine",
            where="registry",
            next_step="Name a ContainerRegistry block: --registry BLOCK",
        )
    snapshot = Project.open(Path(project), home)
    arguments = list(args if args is not None else snapshot.settings.args)
    connection = _connection(vertex)
    request = _job_request(snapshot, arguments, connection, vertex)
    spec.check(request)  # an impossible job is refused before anything is built
    steps = Steps()
    steps.run(verify.with_options(refresh_cache=refresh or None), snapshot, arguments)
    lock = steps.run(freeze.with_options(refresh_cache=refresh or None), snapshot)
    plan = plan_image(snapshot, lock, registry=registry, builder=builder, home=home)
    image = steps.run(push, plan, steps.run(build, plan))
    request = _with_image(request, image.reference)
    key = submission.job_key(str(current_run.id), "submit", image.digest, *arguments)
    job = steps.run(submit, connection, request, key)
    outcome = steps.run(watch, connection, job)
    left = steps.run(receipt, connection, request.output)
    return TrainingResult(
        image=image.reference,
        job=job.name,
        state=outcome.state,
        model=left.model,
        files=[{"path": file.path, "size": file.size, "sha256": file.sha256} for file in left.files],
        steps=steps.reports,
    )
