"""Step 1: runs the training script on this machine with a small workload, before anything costs money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.context import TaskRunContext

from ..core.home import Home
from ..project.snapshot import Project
from .reporting.artifacts import artifact_key
from .reporting.step_log import step_log
from .retry_policy import STEP
from .secret_values import local_values
from .step_results import step_result

if TYPE_CHECKING:
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

    log = step_log("verify")
    cache, listed = Home.default().cache, project.dependencies
    secrets = local_values(project.settings.secret_env, log)
    report = engine.verify(
        project.root, project.files, project.settings, args, cache=cache, log=log, listed=listed, secrets=secrets
    )
    files = f"{len(report.model_files)} model file{'' if len(report.model_files) == 1 else 's'}"
    log(f"{report.seconds:.1f} s, {report.memory} of memory at the peak, {files}, in {report.interpreter}")
    create_markdown_artifact(_table(report), key=artifact_key("verify"), description="The script's run on this machine")
    return report


def _table(report: VerifyReport) -> str:
    rows = {
        "command": f"`{' '.join(report.command)}`",
        "Python": f"{report.python}, {report.interpreter}",
        "seconds": f"{report.seconds:.1f}",
        "peak memory": report.memory,
        "model": ", ".join(f"`{file}`" for file in report.model_files),
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines, "", *(f"- warning: {warning}" for warning in report.warnings)])
