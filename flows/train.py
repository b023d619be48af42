"""The train flow: verify, freeze, build, push, run the job, record the model."""

# No `from __future__ import annotations` here: Prefect's model of the parameters can't look up this module's names.

import os
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from prefect.blocks.system import Secret
from pydantic import BeforeValidator, Field

from ..core.errors import ProjectError
from ..core.home import Home
from ..images.plan import Builder
from ..project.settings.settings import Freeze, Verify
from ..project.snapshot import Project
from ..tasks.build import build
from ..tasks.freeze import freeze as freeze_step
from ..tasks.image_plan import plan_image
from ..tasks.push import push
from ..tasks.reporting.step_log import step_log
from ..tasks.secret_values import job_variables
from ..tasks.step_results import step_result
from ..tasks.verify import verify as verify_step
from ..vertex.spec.request_limits import check_description
from ..vertex.submit.attempt_budget import jobs_allowed
from .block_parameters import RegistryParameter, VertexParameter, connect
from .checkout import project_folder
from .form import Picker, RunMachine, titled, with_choices
from .job_request import describe_job
from .checks.checked_flow import checked_flow
from .result import TrainingResult
from .run_name import name_run
from .step_runner import Steps
from .stop_hook import stop_job
from .summary_page import run_page

if TYPE_CHECKING:
    from ..project.dependencies.freeze import Lock
    from ..vertex.client.connection import Connection

Source = Annotated[
    str, Field(min_length=1), BeforeValidator(lambda value: os.fspath(value) if isinstance(value, Path) else value)
]
"""A folder, as text or `Path`, or a git repository's address."""


NO_USER_INFO = r"^(?!\s*[Hh][Tt][Tt][Pp][Ss]?://[^/?#]*@)"
"""The form and the server refuse an address with a token in it before a run exists that would show it."""


@checked_flow(name="train", on_cancellation=[stop_job], on_crashed=[stop_job])
def train(  # noqa: PLR0917 - Prefect names every parameter
    project: Annotated[Source, titled("Project", pattern=NO_USER_INFO)],
    args: Annotated[list[str], titled("Arguments")] = [],  # noqa: B006 - never changed, and shown as the default
    machine: Annotated[RunMachine, titled("Machine")] = RunMachine(),  # noqa: B008 - likewise
    registry: Annotated[RegistryParameter | None, Picker(), titled("Registry")] = None,
    vertex: Annotated[VertexParameter | None, Picker(), titled("Vertex AI")] = None,
    ref: Annotated[str, titled("Git: branch, tag or commit")] = "",
    subfolder: Annotated[str, titled("Git: subfolder")] = "",
    git_token: Annotated[Secret | None, Picker(), titled("Git: token")] = None,
    builder: Annotated[Builder, titled("Builder")] = "auto",
    verify: Annotated[Literal["auto", Verify], titled("Verify")] = "auto",
    freeze: Annotated[Freeze, titled("Freeze")] = "auto",
    translate: Annotated[bool, titled("Translate conda")] = False,
    refresh: Annotated[bool, titled("Refresh")] = False,
    size_limit_mb: Annotated[float, Field(ge=0), titled("Size limit, MB")] = 0,
) -> TrainingResult:
    """Takes a project from its folder or git repository to a finished training job and its model.

    Args:
        project: A folder on the machine that runs this flow, or a git repository's address.
        args: The training script's arguments, one word a line, after those of the project's own settings.
        machine: The job's machine, where it differs from the project's own settings.
        registry: Where the image is pushed; without one it stays on the machine that runs this flow.
        vertex: Where the job runs; without one on the machine that runs this flow.
        ref: Branch, tag or whole commit hash to train; empty for the default branch.
        subfolder: The project's folder inside the repository; empty for the repository itself.
        git_token: A Secret block with the access token of a private repository.
        builder: direct needs no Docker; docker uses the project's Dockerfile; auto takes docker if there is one.
        verify: here runs the script in the user's own Python, locked in a clean environment made from the frozen list,
            off sends it without a local run; auto: as the project's settings say.
        freeze: Which list of dependencies is used; auto: as the project's settings say, else what is there.
        translate: Translate a conda list into one for pip, with a report of what has no counterpart.
        refresh: Verify and freeze again, and look for a newer base image, even if nothing changed.
        size_limit_mb: Size limit of the project's files in megabytes; 0: as the project's settings say.

    Raises:
        TrainingError: One line: what was wrong, where, and the next step.
    """
    home = Home.default()
    if vertex and not registry:
        raise ProjectError(
            "a job in the cloud can't reach an image on this machine",
            where="registry",
            next_step="Name a ContainerRegistry block as the registry (--registry BLOCK)",
        )
    steps = Steps()
    with project_folder(project, ref, subfolder, git_token, home=home, steps=steps) as folder:
        choices = partial(with_choices, machine=machine, verify=verify, freeze=freeze, translate=translate)
        snapshot = Project.open(folder, home, size_limit_mb=size_limit_mb or None, adjust=choices)
        for line in snapshot.lines():
            step_log("files")(line)
        arguments = [*snapshot.settings.args, *args]
        name_run(snapshot, vertex.region if vertex else None)
        connection = connect(vertex)
        # A secret that can't be had is reported before anything is built.
        job_variables(snapshot.settings.secret_env, local=connection.endpoint.local)
        job = describe_job(snapshot, arguments, connection, vertex, builder=builder)
        # An impossible job is refused before anything is built.
        check_description(job, region=connection.region, local=vertex is None)
        if vertex and registry:
            check_places(connection, registry.host)
        allowed = jobs_allowed(job, snapshot.settings.job.attempts)
        with run_page(snapshot.settings.name, steps):
            lock = verified_and_frozen(steps, snapshot, arguments, refresh=refresh)
            age = 0.0 if refresh else 3600.0
            # Planned when `build` first asks for it: if the base can't be reached, that step fails and is retried.
            plan = cache(
                partial(plan_image, snapshot, lock, registry=registry, builder=builder, home=home, max_age=age)
            )
            image = steps.run(push, plan, steps.run(build, plan))
            from .train_job import run_and_record

            request = job.with_image(image.reference)
            key = [image.digest, *arguments]
            outcome, model = run_and_record(steps, connection, request, snapshot, lock, key=key, allowed=allowed)
    return TrainingResult(
        image=image.reference,
        job=outcome.name,
        state=outcome.state,
        model=model.model,
        receipt=model.document,
        files=[asdict(file) for file in model.files],
        steps=steps.reports,
    )


def check_places(connection: "Connection", host: str) -> None:
    """Refuses a bucket outside of the job's region, and warns of a registry in another one."""
    from ..vertex.submit.region_check import check_bucket, far_registry

    check_bucket(connection)
    if warning := far_registry(host, connection.region):
        step_log("regions")(f"warning: {warning}")


def verified_and_frozen(steps: Steps, project: Project, args: list[str], *, refresh: bool) -> "Lock":
    """Runs steps 1 and 2; a locked run of the script needs the frozen list first."""
    if project.settings.verify == "off":
        step_log("verify")('left out, as verify = "off" says: a mistake in the script shows only in the job')
        return steps.run(freeze_step.with_options(refresh_cache=refresh), project, refresh)
    locked = project.settings.verify == "locked"
    lock = steps.run(freeze_step.with_options(refresh_cache=refresh), project, refresh) if locked else None
    steps.run(verify_step.with_options(refresh_cache=refresh), project, args)
    return lock or steps.run(freeze_step.with_options(refresh_cache=refresh), project, refresh)


# An option of `@flow` would also make Prefect keep results of runs where nobody asked for it.
train.result_serializer = step_result("flows.result.TrainingResult")
