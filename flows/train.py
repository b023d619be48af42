"""The train flow: verify, freeze, build, push, run the job, record the model."""

# No `from __future__ import annotations` here: Prefect's model of the parameters can't look up this module's names.

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from prefect.blocks.system import Secret
from pydantic import Field

from ..core.home import Home
from ..images.plan import Builder
from ..project.settings.settings import Freeze, Verify
from ..tasks.reporting.step_log import step_log
from ..tasks.step_results import step_result
from .block_parameters import RegistryParameter, VertexParameter
from .form import Picker, RunMachine, titled, with_choices
from .job_request import current_run_name, variables_key
from .listed_places.planned_places import plan_at, plan_places
from .planning.cost_facts import CostFacts
from .planning.dry_run import page_of, show_estimate, show_plan
from .planning.training_plan import Place, plan_in_place
from .preparation.async_form import in_thread, with_parameters_of
from .preparation.opened_project import NO_USER_INFO, ProjectSource, Source, check_cloud, log_warnings, opened_project
from .preparation.shared_steps import prepare
from .result import TrainingResult
from .screening.checked_flow import checked_flow
from .step_runner import Steps
from .stop_hook import stop_job
from .summary_page import summarized

if TYPE_CHECKING:
    from ..vertex.client.connection import Connection
    from ..vertex.resume.earlier_run import EarlierRun


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
        builder: direct: in layers, without Docker; docker: by the project's Dockerfile; auto: docker if there is one.
        freeze: Which list of dependencies is used; auto: project setting, else what is there.
        translate: Translate a conda list into one for pip, with a report of what has no counterpart.
        data: Data sets beside those of the project, one a line, as NAME=PATH or NAME=gs://BUCKET/FOLDER.
        fallback: Places to try when the job's own has no machines, one a line, as region=europe-west4,strategy=SPOT; or
            auto, for the allowed regions, the cheapest first. Empty: project setting.
        allowed_regions: Regions to which data may go, one a line; empty: project setting.
        ignore_regions: Regions that are neither asked nor used, because they don't answer and surely have no job.
        verify: Where the script first runs with a small workload. here: in your own Python; locked: in a clean
            environment with the frozen list; image: in its Dockerfile's image; off: nowhere; auto: project setting.
        refresh: Verify and freeze again, and look for a newer base image, even if nothing changed.
        size_limit_mb: Size limit of the project's files in megabytes; 0: project setting.
        dry_run: Only say what the run would do and cost; nothing is run, built, sent or started.
        resume: An earlier run of the project, whose checkpoints the job finds: its id, its job, or its output's place.
        verify_resume: The local run is stopped after its first checkpoint, and must continue there when started again.

    Raises:
        TrainingError: One line: what was wrong, where, and the next step.
    """
    home, steps = Home.default(), Steps()
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
    source = ProjectSource(project, ref, subfolder, git_token, size_limit_mb)
    with opened_project(source, choices, vertex=vertex, registry=registry, steps=steps) as opened:
        snapshot, connection = opened
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
        check_cloud(steps, opened, planned.job, vertex=vertex, registry=registry)
        with summarized(snapshot.settings.name, steps):
            if planned.cost and facts:
                show_estimate(planned.cost, facts)
            image, lock, records = prepare(
                steps, snapshot, connection, arguments, registry=registry, builder=builder, refresh=refresh
            )
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


def earlier_run(connection: "Connection", text: str, project: str) -> "EarlierRun":
    """The run whose checkpoints this one takes up."""
    from ..vertex.resume.earlier_run import find_earlier_run

    found = find_earlier_run(connection, text.strip(), project, cloud=not connection.endpoint.local)
    step_log("resume")(f"from {found.run or found.output}: {found.checkpoints}")
    if found.live:
        step_log("resume")("warning: that run's job is still live; what it saves from now on may not be copied")
    return found


@with_parameters_of(train)
async def atrain(*args: Any, **parameters: Any) -> TrainingResult:  # noqa: ANN401 - those of `train`
    """As `train`, for asynchronous flows: the event loop goes on, and several trainings can run at once.

    When the calling task is cancelled, the run ends as a cancelled `train` does: its job is cancelled first.
    """
    return await in_thread(train, *args, **parameters)


# An option of `@flow` would also make Prefect keep results of runs where nobody asked for it.
train.result_serializer = step_result("flows.result.TrainingResult", 2)
