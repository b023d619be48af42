"""Step 1: runs the training script on this machine with a small workload, before anything costs money."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.context import TaskRunContext

from ..core.errors import ProjectError
from ..core.home import Home
from ..core.placeholders import fill_all, folder_values
from ..core.security.masked_text import masked
from ..images.oci.image_types import BuiltImage
from ..project.snapshot import Project
from ..secret_values import local_values
from .docker_engine import docker_engine
from .image_plan import PlanFactory
from .image_request import secrets_of
from .reporting.artifacts import artifact_key, optional_display
from .reporting.markdown import copyable, plain, table
from .reporting.progress import DOING, current, show_line
from .reporting.step_log import LogFunction, step_log
from .retry_policy import STEP
from .step_results import step_result

if TYPE_CHECKING:
    from docker import DockerClient

    from ..project.local_run.script_run import Workload
    from ..project.local_run.verify import VerifyReport


def _key(context: TaskRunContext, parameters: dict[str, Any]) -> str:  # noqa: ARG001 - Prefect's signature
    from ..project.local_run import verify as engine

    project: Project = parameters["project"]
    key = engine.request_key(project.root, project.settings, parameters["args"], project.dependencies)
    return f"verify-{project.fingerprint}-{key}"


@task(
    name="verify",
    cache_key_fn=_key,
    result_serializer=step_result("project.local_run.verify.VerifyReport"),
    **STEP,
)
def verify(project: Project, args: list[str]) -> VerifyReport:
    """Runs the script in a copy of the project. The same code, dependencies and arguments run only once.

    Raises:
        VerifyError: The script failed, took longer than the project's `verify-timeout`, or saved no model.
    """
    from ..project.local_run import verify as engine

    write = step_log("verify")

    def log(line: str) -> None:
        write(line)
        show_line("the small workload", line)

    if progress := current():
        progress.phase(DOING["verify"], project.settings.verify_timeout)
    home, listed = Home.default(), project.dependencies
    secrets = local_values(project.settings.secret_env, log)
    report = engine.verify(
        project.root,
        project.files,
        project.settings,
        args,
        cache=home.cache,
        log=log,
        listed=listed,
        vertex=home.vertex,
        secrets=secrets,
    )
    if progress:
        progress.phase("keeping the result")
    if warning := unwritable(project, report.written):
        log(f"warning: {warning}")
        report = replace(report, warnings=(*report.warnings, warning))
    _tell(report)
    return report


class ImageInEngine:
    """The built image of a run; a plain class, because Prefect looks into dataclasses among a task's inputs.

    Args:
        make_plan: The image's plan.
        image: From the step `build`; its target has it, and the engine perhaps no longer.
    """

    def __init__(self, make_plan: PlanFactory, image: BuiltImage) -> None:
        self.plan = make_plan()
        self.image = image

    def find(self, engine: DockerClient, log: LogFunction) -> str:
        """The image's id in the engine, which builds it again if it was removed there.

        Raises:
            ProjectError: The project's own Dockerfile makes no image.
            DockerError: The build fails.
        """
        from ..images.docker import docker_build

        plan = self.plan
        if plan.builder != "docker":
            raise ProjectError(
                'verify = "image" needs the project\'s own Dockerfile, and the image is made of layers',
                where=plan.request.root,
                next_step='Set verify = "locked" under [tool.vertex-training]: an environment of the same packages',
            )
        found = docker_build.find_built(plan.request, engine=engine, tag=plan.tags[0])
        if found is None:
            log("the engine no longer has the image: building it again")
            found = docker_build.build(
                plan.request,
                engine=engine,
                tag=plan.tags[0],
                log=log,
                bases=plan.bases,
                credentials=plan.credentials,
                secrets=secrets_of(plan.request, log),
            )
        return found.digest


Place = Callable[[Sequence[str]], tuple[Sequence[str], Sequence[str]]]
"""What a job of the image gets for the training's arguments: a command in place of ENTRYPOINT, and arguments."""


def _image_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:  # noqa: ARG001 - Prefect's signature
    settings, args = parameters["project"].settings, parameters["args"]
    facts = [args if settings.verify_args is None else None, settings.verify_args, settings.model_dir_argument]
    facts += [dict(settings.env), settings.outputs]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    return f"verify-image-{parameters['built'].plan.request.fingerprint}-{digest}"


@task(
    name="verify",
    cache_key_fn=_image_key,
    result_serializer=step_result("project.local_run.verify.VerifyReport"),
    **STEP,
)
def verify_image(project: Project, args: list[str], built: ImageInEngine, place: Place) -> VerifyReport:
    """Runs the training in the project's image, as a job would; the same image and arguments run only once.

    Raises:
        VerifyError: The training failed, took longer than the project's `verify-timeout`, or saved no model.
        ProjectError: The project's own Dockerfile makes no image.
        DockerError: No engine answers, or it can't start the image.
    """
    from ..images.docker.trial import OUTPUTS, Trial, run_trial
    from ..project.local_run import verify as local_run
    from ..project.local_run.places import data_links
    from ..project.local_run.processes.process import Ended

    log = step_log("verify")
    engine = docker_engine()
    image = built.find(engine, log)
    working_directory = str(engine.images.get(image).attrs["Config"]["WorkingDir"] or "/")

    values = folder_values(OUTPUTS, OUTPUTS)

    def in_image(work: Workload, line: LogFunction) -> Ended:
        def there(text: str) -> str:
            return text.replace(str(work.outputs), OUTPUTS)

        command, words = (fill_all(part, values) for part in place([there(text) for text in work.args]))
        env = {name: there(text) for name, text in work.env.items()}
        env.update(data_links.variables(project.settings.data, Path(working_directory)))
        data = {each.path: each.root(project.root) for each in project.settings.data if each.path}
        trial = Trial(image, command, words, env, work.outputs, work.changed, work.timeout, work.reminder, data)
        end = run_trial(engine, trial, lambda text: line(masked(text)))
        return Ended(end.code, end.seconds, tuple(map(masked, end.tail)))

    report = local_run.verify(
        project.root,
        project.files,
        project.settings,
        args,
        cache=Home.default().cache,
        log=log,
        listed=project.dependencies,
        in_image=in_image,
        secrets=local_values(project.settings.secret_env, log),
    )
    _tell(report)
    return report


def leave_out() -> None:
    """Says in the run's log and in the step's artifact that the script was not run."""
    text = 'left out, as verify = "off" says: a mistake in the script shows only in the job'
    step_log("verify")(text)
    with optional_display():
        create_markdown_artifact(
            f"The local run was {text}.", key=artifact_key("verify"), description="No run on this machine"
        )


def _tell(report: VerifyReport) -> None:
    files = f"{len(report.model_files)} model file{'' if len(report.model_files) == 1 else 's'}"
    text = f"{report.seconds:.1f} s, {report.memory} of memory at the peak, {files}, in {report.interpreter}"
    step_log("verify")(text)
    create_markdown_artifact(page(report), key=artifact_key("verify"), description="The script's run on this machine")


def unwritable(project: Project, written: Sequence[str]) -> str | None:
    """A warning of what the script wrote here and the USER of the project's Dockerfile can't; None if there is none."""
    from ..images.docker.dockerfile_user import user_without_folder

    settings, file = project.settings, project.root / "Dockerfile"
    if not written or settings.builder == "direct" or not file.is_file():
        return None
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    user = user_without_folder(text, settings.build_args, settings.build_target)
    if user is None:
        return None
    more = f" and {len(written) - 1} more" if len(written) > 1 else ""
    return (
        f"the script writes {written[0]}{more} in its working directory, which USER {user.name} can't "
        f"(Dockerfile:{user.line}): add RUN chown -R {user.name} . before that line, or write below AIP_MODEL_DIR"
    )


def page(report: VerifyReport) -> str:
    """The artifact's Markdown."""
    rows = {
        "command": copyable(" ".join(report.command)),
        "Python": f"{report.python}, {report.interpreter}",
        "seconds": f"{report.seconds:.1f}",
        "peak memory": report.memory,
        "model": ", ".join(report.model_files),
        **({"second start": plain(report.resumed)} if report.resumed else {}),
    }
    return "\n".join([table(["", ""], rows.items()), "", *(f"- warning: {plain(line)}" for line in report.warnings)])
