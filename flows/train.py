"""The road: from a project's folder to a model that a cloud job made."""

# Annotations stay types here: Prefect builds a model of the flow's parameters, and can't look names up in this module.

import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.runtime import flow_run as current_run
from pydantic import BeforeValidator

from ..core.errors import ProjectError
from ..core.home import Home
from ..project.freeze import Lock
from ..project.snapshot import Project
from ..tasks.build import build
from ..tasks.freeze import freeze
from ..tasks.plan import Builder, plan_image
from ..tasks.push import push
from ..tasks.receipt import receipt
from ..tasks.submit import submit
from ..tasks.verify import verify as verify_step
from ..tasks.watch import watch
from ..vertex.cancellation import cancel_by_key
from ..vertex.connection import Connection
from ..vertex.intent import intent_text
from ..vertex.limits import check
from ..vertex.submission import job_key
from .limits import submission_turn, turn
from .naming import name_run
from .page import run_page
from .parameters import RegistryParameter, VertexParameter
from .request import RUN_LABEL, job_request
from .result import TrainingResult
from .source import opened
from .steps import Steps

Source = Annotated[str, BeforeValidator(lambda value: os.fspath(value) if isinstance(value, Path) else value)]
"""A folder, also as a path, or a git repository's address."""


def stop_job(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Cancels the job of a run that was cancelled or crashed.

    Prefect calls it in another process than the run's, where only the run's id and parameters are known.
    """
    vertex = flow.validate_parameters(flow_run.parameters).get("vertex")
    # The run may have ended just after a create: a job that isn't listed yet is waited for.
    recorded = intent_text(str(flow_run.id), time.time())
    cancel_by_key(connect(vertex), str(flow_run.id), label=RUN_LABEL, recorded=recorded, wait=0)


@flow(name="train", on_cancellation=[stop_job], on_crashed=[stop_job])
def train(  # noqa: PLR0917 - Prefect names every parameter
    project: Source,
    ref: str = "",
    subfolder: str = "",
    git_token: Secret[str] | None = None,
    args: list[str] = [],  # noqa: B006 - never changed; a list makes the better field in the run form
    registry: RegistryParameter | None = None,
    vertex: VertexParameter | None = None,
    builder: Builder = "auto",
    verify: Literal["auto", "here", "locked"] = "auto",
    refresh: bool = False,
) -> TrainingResult:
    """Takes a project from this machine to a finished training job and its model.

    Args:
        project: The project's folder on the machine that runs this flow, or the address of its git repository.
        ref: The repository's branch, tag or whole commit id; nothing for its default branch.
        subfolder: The project's folder inside the repository; nothing for all of it.
        git_token: A Secret block that holds the access token of a private repository.
        args: The training script's arguments, after those of the project's own settings.
        registry: Where the image goes; none keeps it in this machine's image layout.
        vertex: Where the job runs; none runs it on this machine, in local_vertex.
        builder: direct, docker, or auto: docker for a project with a Dockerfile.
        verify: here runs the script in the user's own Python, locked in a clean environment made from the frozen list;
            auto: as the project's settings say.
        refresh: Verify and freeze again, and ask for a newer base image, even if nothing changed.

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
    steps = Steps()
    with opened(project, ref, subfolder, git_token, home=home, steps=steps) as folder:
        snapshot = Project.open(folder, home)
        if verify != "auto":
            snapshot.settings = replace(snapshot.settings, verify=verify)
        arguments = [*snapshot.settings.args, *args]
        name_run(snapshot, vertex.region if vertex else None)
        connection = connect(vertex)
        request = job_request(snapshot, arguments, connection, vertex)
        # An impossible job is refused before anything is built.
        check(request, region=connection.region, local=vertex is None)
        with run_page(snapshot.settings.name, steps):
            lock = verified_and_frozen(steps, snapshot, arguments, refresh=refresh)
            age = 0.0 if refresh else 3600.0
            plan = plan_image(snapshot, lock, registry=registry, builder=builder, home=home, max_age=age)
            image = steps.run(push, plan, steps.run(build, plan))
            key = job_key(str(current_run.id), "submit", image.digest, *arguments)
            with turn(snapshot.settings.name, connection, key):
                submission_turn(connection)
                job = steps.run(submit, connection, replace(request, image=image.reference), key)
                outcome = steps.run(watch, connection, job)
                left = steps.run(receipt, connection, request.output)
    return TrainingResult(
        image=image.reference,
        job=outcome.name,
        state=outcome.state,
        model=left.model,
        files=[asdict(file) for file in left.files],
        steps=steps.reports,
    )


def verified_and_frozen(steps: Steps, project: Project, args: list[str], *, refresh: bool) -> Lock:
    """Runs steps 1 and 2; a locked run of the script needs the frozen list first."""
    locked = project.settings.verify == "locked"
    lock = steps.run(freeze.with_options(refresh_cache=refresh), project, refresh) if locked else None
    steps.run(verify_step.with_options(refresh_cache=refresh), project, args)
    return lock or steps.run(freeze.with_options(refresh_cache=refresh), project, refresh)


def connect(vertex: VertexParameter | None) -> Connection:
    """The Vertex AI of a block, or this machine's own."""
    return vertex.connection() if vertex else Connection.local(Home.default())
