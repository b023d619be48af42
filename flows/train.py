"""The train flow: verify, freeze, build, push, run the job, record the model."""

# No `from __future__ import annotations` here: Prefect's model of the parameters can't look up this module's names.

import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec

from prefect.blocks.system import Secret
from pydantic import BeforeValidator, Field

from ..core.home import Home
from ..images.plan import Builder
from ..project.settings.settings import Freeze, Verify
from ..project.snapshot import Project
from ..tasks.build import build
from ..tasks.freeze import freeze as freeze_step
from ..tasks.image_plan import plan_image
from ..tasks.preflight import ProjectAccess, check_project
from ..tasks.push import push
from ..tasks.reporting.step_log import step_log
from ..tasks.step_results import keep_results_private, step_result
from ..tasks.stopping import run_end
from ..tasks.stopping.stop_job import WINDOW
from ..tasks.variables.secret_values import job_variables
from ..tasks.verify import ImageInEngine, verify_image
from ..tasks.verify import leave_out as leave_out_verify
from ..tasks.verify import verify as verify_step
from .block_parameters import RegistryParameter, VertexParameter, connect
from .checkout import project_folder
from .form import Picker, RunMachine, titled, with_choices
from .image_startup import place_arguments, without_runtime
from .job_request import current_run_name, variables_key
from .listed_places.planned_places import plan_at, plan_places
from .planning.cost_facts import CostFacts
from .planning.dry_run import page_of, show_estimate, show_plan
from .planning.training_plan import Place, TrainingPlan, plan_in_place, refuse_unreachable_image
from .result import TrainingResult
from .run_name import name_run
from .screening.checked_flow import checked_flow
from .step_runner import Steps
from .stop_hook import stop_job
from .summary_page import summarized

if TYPE_CHECKING:
    from ..datasets.data_record import DataRecord
    from ..project.dependencies.freeze import Lock
    from ..tasks.data import UploadAhead
    from ..vertex.client.connection import Connection
    from ..vertex.resume.earlier_run import EarlierRun

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
    builder: Annotated[Builder, titled("Image: builder")] = "auto",
    freeze: Annotated[Freeze, titled("Dependencies: list")] = "auto",
    translate: Annotated[bool, titled("Dependencies: translate conda")] = False,
    data: Annotated[list[str], titled("Data sets")] = [],  # noqa: B006 - as for `args`
    fallback: Annotated[list[str], titled("Fall-back list")] = [],  # noqa: B006 - as for `args`
    allowed_regions: Annotated[list[str], titled("Fall-back: allowed regions")] = [],  # noqa: B006 - likewise
    ignore_regions: Annotated[list[str], titled("Fall-back: ignored regions")] = [],  # noqa: B006 - likewise
    verify: Annotated[Literal["auto", Verify], titled("Checks: local run")] = "auto",
    refresh: Annotated[bool, titled("Checks: refresh")] = False,
    size_limit_mb: Annotated[float, Field(ge=0), titled("Checks: size limit, MB")] = 0,
    dry_run: Annotated[bool, titled("Checks: plan only")] = False,
    resume: Annotated[str, titled("Resume: earlier run")] = "",
    verify_resume: Annotated[bool, titled("Resume: rehearse")] = False,
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
        freeze: Which list of dependencies is used; auto: project setting, else what is there.
        translate: Translate a conda list into one for pip, with a report of what has no counterpart.
        data: Data sets beside those of the project, one a line, as NAME=PATH or NAME=gs://BUCKET/FOLDER.
        fallback: Places to try when the job's own has no machines, one a line, as region=europe-west4,strategy=SPOT; or
            auto, for the allowed regions, the cheapest first. Empty: project setting.
        allowed_regions: Regions to which data may go, one a line; empty: project setting.
        ignore_regions: Regions that are neither asked nor used, because they don't answer and surely have no job.
        verify: here runs the script in the user's own Python, locked in a clean environment made from the frozen list,
            image in the image of its own Dockerfile, off sends it without a local run; auto: project setting.
        refresh: Verify and freeze again, and look for a newer base image, even if nothing changed.
        size_limit_mb: Size limit of the project's files in megabytes; 0: project setting.
        dry_run: Only say what the run would do and cost; nothing is run, built, sent or started.
        resume: An earlier run of the project, whose checkpoints the job finds: its id, its job, or its output's place.
        verify_resume: The local run is stopped after its first checkpoint, and must continue there when started again.

    Raises:
        TrainingError: One line: what was wrong, where, and the next step.
    """
    home, steps = Home.default(), Steps()
    keep_results_private()
    refuse_unreachable_image(vertex, registry)
    with project_folder(project, ref, subfolder, git_token, home=home, steps=steps) as folder:
        choices = partial(
            with_choices,
            machine=machine,
            verify=verify,
            freeze=freeze,
            translate=translate,
            data=data,
            verify_resume=verify_resume,
            fallback=fallback,
            allowed_regions=allowed_regions,
        )
        snapshot = Project.open(folder, home, size_limit_mb=size_limit_mb or None, adjust=choices)
        introduce(snapshot, vertex)
        connection = connect(vertex)
        # A secret that can't be had is reported before anything is built.
        job_variables(snapshot.settings.secret_env, local=connection.endpoint.local)
        place = Place(connection.region, connection.bucket, vertex)
        facts = CostFacts(snapshot.settings, vertex, connection, home) if vertex else None
        planning = partial(plan_in_place, snapshot, args, place, current_run_name(), builder=builder, facts=facts)
        planned = planning()
        earlier = earlier_run(connection, resume, snapshot.settings.name) if resume.strip() else None
        log_warnings(planned)
        if dry_run:
            described = partial(page_of, planned, args, current_run_name(), registry, connection.project)
            return show_plan(described(builder=builder, home=home, facts=facts))
        arguments = list(planned.arguments)
        at_place = partial(plan_at, args, current_run_name(), builder=builder, facts=facts)
        places = plan_places(snapshot, place, connection, at_place, ignored=ignore_regions)
        if vertex and registry:
            check_places(connection, registry.host)
            if snapshot.settings.preflight != "off" and not connection.endpoint.local:
                access = ProjectAccess(vertex, registry, planned.job, snapshot.settings.name)
                steps.run(check_project, access, snapshot.settings.preflight == "on")
        with summarized(snapshot.settings.name, steps):
            if planned.cost and facts:
                show_estimate(planned.cost, facts)
            lock = verified_and_frozen(steps, snapshot, arguments, refresh=refresh)
            age = 0.0 if refresh else 3600.0
            # Planned when `build` first asks for it: if the base can't be reached, that step fails and is retried.
            plan = cache(
                partial(plan_image, snapshot, lock, registry=registry, builder=builder, home=home, max_age=age)
            )
            ahead = upload_ahead(snapshot, connection)
            built = steps.run(build, plan)
            if snapshot.settings.verify == "image":
                startup = partial(place_arguments, without_runtime(snapshot.settings), docker=True)
                check = verify_image.with_options(refresh_cache=refresh)
                steps.run(check, snapshot, arguments, ImageInEngine(plan, built), startup)
            image = steps.run(push, plan, built)
            if registry and vertex is None and (login := registry.get_credentials()):
                from ..vertex.client.lent_login import lend_login

                lend_login(connection, registry.image(snapshot.settings.name).host, login.pair())
            records = data_in_bucket(steps, snapshot, connection, ahead)
            from .train_job import pages_of, run_and_record

            planned = planning(data=records)  # with the data's variables, and the newest prices
            request = planned.job.with_image(image.reference)
            key = [image.digest, *arguments, *variables_key(snapshot.settings), *(record.id for record in records)]
            key += [*([f"resume={earlier.output}"] if earlier else []), *([places.key] if places else [])]
            outcome, model = run_and_record(
                steps,
                connection,
                request,
                snapshot,
                lock,
                key=key,
                allowed=planned.allowed,
                data=records,
                earlier=earlier,
                fallback=places and places.ready(registry, snapshot.settings.name, image, records, earlier),
            )
            steps.links.update(pages_of(connection, outcome.name, model.model))
    return TrainingResult(
        image=image.reference,
        job=outcome.name,
        state=outcome.state,
        model=model.model,
        receipt=model.document,
        files=[asdict(file) for file in model.files],
        steps=steps.reports,
        duration=outcome.seconds,
        metrics=dict(outcome.metrics),
        links=steps.links,
    )


def log_warnings(planned: TrainingPlan) -> None:
    """Says what may go wrong."""
    for warning in planned.warnings:
        step_log("machine")(f"warning: {warning}")


def introduce(project: Project, vertex: VertexParameter | None) -> None:
    """Says what goes into the image, and names the run after the project."""
    for line in project.lines():
        step_log("files")(line)
    name_run(project, vertex.region if vertex else None)


def upload_ahead(project: Project, connection: "Connection") -> "UploadAhead | None":
    """Begins to send the project's data sets, beside the steps that follow; None without any."""
    if not any(each.path for each in project.settings.data):
        return None
    from ..tasks.data import UploadAhead

    return UploadAhead(project, connection)


def data_in_bucket(
    steps: Steps, project: Project, connection: "Connection", ahead: "UploadAhead | None"
) -> "list[DataRecord]":
    """Runs the step `data`, if the project has data sets."""
    if not project.settings.data:
        return []
    from ..tasks.data import data as data_step

    if ahead is not None:
        ahead.wait()
    return steps.run(data_step, project, connection).sets


def earlier_run(connection: "Connection", text: str, project: str) -> "EarlierRun":
    """The run whose checkpoints this one takes up."""
    from ..vertex.resume.earlier_run import find_earlier_run

    found = find_earlier_run(connection, text.strip(), project, cloud=not connection.endpoint.local)
    step_log("resume")(f"from {found.run or found.output}: {found.checkpoints}")
    if found.live:
        step_log("resume")("warning: that run's job is still live; what it saves from now on may not be copied")
    return found


def check_places(connection: "Connection", host: str) -> None:
    """Refuses a bucket outside of the job's region, and warns of a registry in another one."""
    from ..vertex.submit.region_check import check_bucket, far_registry

    check_bucket(connection)
    if warning := far_registry(host, connection.region):
        step_log("regions")(f"warning: {warning}")


def verified_and_frozen(steps: Steps, project: Project, args: list[str], *, refresh: bool) -> "Lock":
    """Runs steps 1 and 2; a locked run of the script needs the frozen list first."""
    if project.settings.verify == "off":
        leave_out_verify()
    if project.settings.verify in {"off", "image"}:
        return steps.run(freeze_step.with_options(refresh_cache=refresh), project, refresh)
    locked = project.settings.verify == "locked"
    lock = steps.run(freeze_step.with_options(refresh_cache=refresh), project, refresh) if locked else None
    steps.run(verify_step.with_options(refresh_cache=refresh), project, args)
    return lock or steps.run(freeze_step.with_options(refresh_cache=refresh), project, refresh)


P = ParamSpec("P")


def _with_parameters_of(flow: Callable[P, TrainingResult]) -> Callable[..., Callable[P, Awaitable[TrainingResult]]]:  # noqa: ARG001
    """For type checkers: the decorated function has the flow's parameters."""
    return lambda function: function


@_with_parameters_of(train)
async def atrain(*args: Any, **parameters: Any) -> TrainingResult:  # noqa: ANN401 - those of `train`
    """As `train`, for asynchronous flows: the event loop goes on, and several trainings can run at once.

    When the calling task is cancelled, the run ends as a cancelled `train` does: its job is cancelled first.
    """
    return await run_end.in_thread(partial(train, *args, **parameters), patience=WINDOW)


# An option of `@flow` would also make Prefect keep results of runs where nobody asked for it.
train.result_serializer = step_result("flows.result.TrainingResult", 2)
