"""Opens a run's project and the service for its jobs, and checks both before anything is built."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from prefect.blocks.system import Secret
from pydantic import BeforeValidator, Field

from ...core.home import Home
from ...project.settings.settings import Settings
from ...project.snapshot import Project
from ...secret_values import job_variables
from ...tasks.preflight import ProjectAccess, check_project
from ...tasks.reporting.step_log import step_log
from ...tasks.step_results import keep_results_private
from ..block_parameters import connect
from ..checkout import project_folder
from ..planning.training_plan import TrainingPlan, refuse_unreachable_image
from ..run_name import name_run
from ..step_runner import Steps

if TYPE_CHECKING:
    from ...blocks.registry import ContainerRegistry
    from ...blocks.vertex_ai import VertexAI
    from ...vertex.client.connection import Connection
    from ...vertex.job_types import JobDescription

Source = Annotated[
    str, Field(min_length=1), BeforeValidator(lambda value: os.fspath(value) if isinstance(value, Path) else value)
]
"""A folder, as text or `Path`, or a git repository's address."""

NO_USER_INFO = r"^(?!\s*[Hh][Tt][Tt][Pp][Ss]?://[^/?#]*@)"
"""The form and the server refuse an address with a token in it before a run exists that would show it."""


class ProjectSource(NamedTuple):
    """Where a run's project is.

    Attributes:
        project: A folder, or a git repository's address.
        ref: Branch, tag or whole commit hash; empty for the default branch.
        subfolder: The project's folder inside the repository.
        token: The access token of a private repository.
        size_limit_mb: Size limit of the project's files in megabytes; 0: as the project's settings say.
    """

    project: str
    ref: str = ""
    subfolder: str = ""
    token: Secret[str] | None = None
    size_limit_mb: float = 0


class Opened(NamedTuple):
    """An open project, and the service for its jobs."""

    project: Project
    connection: Connection


@contextmanager
def opened_project(
    source: ProjectSource,
    adjust: Callable[[Settings], Settings],
    *,
    vertex: VertexAI | None,
    registry: ContainerRegistry | None,
    steps: Steps,
) -> Iterator[Opened]:
    """The project and the connection; a clone exists as long as the `with` block runs.

    Args:
        source: Where the project is.
        adjust: Applies this run's choices to the project's settings.
        vertex: Where the jobs run; None for this machine.
        registry: Where the image goes.
        steps: Runs the step that fetches a repository.

    Raises:
        TrainingError: The project, a secret of it or the service can't be used.
    """
    keep_results_private()
    refuse_unreachable_image(vertex, registry)
    home = Home.default()
    with project_folder(source.project, source.ref, source.subfolder, source.token, home=home, steps=steps) as folder:
        snapshot = Project.open(folder, home, size_limit_mb=source.size_limit_mb or None, adjust=adjust)
        for line in snapshot.lines():
            step_log("files")(line)
        name_run(snapshot, vertex.region if vertex else None)
        connection = connect(vertex)
        # A secret that can't be had is reported before anything is built.
        job_variables(snapshot.settings.secret_env, local=connection.endpoint.local)
        yield Opened(snapshot, connection)


def log_warnings(planned: TrainingPlan) -> None:
    """Says what may go wrong."""
    for warning in planned.warnings:
        step_log("machine")(f"warning: {warning}")


def check_cloud(
    steps: Steps,
    opened: Opened,
    job: JobDescription,
    *,
    vertex: VertexAI | None,
    registry: ContainerRegistry | None,
) -> None:
    """Checks bucket, region and the Google Cloud project of a run in the cloud; nothing for one on this machine.

    Args:
        steps: Runs the checks as a step.
        opened: The project, and the service.
        job: The job, with all machines that run at the same time.
        vertex: Where the jobs run.
        registry: Where the image goes.

    Raises:
        TrainingError: A check failed.
    """
    settings, connection = opened.project.settings, opened.connection
    if not (vertex and registry):
        return
    _check_regions(connection, registry.host)
    if settings.preflight != "off" and not connection.endpoint.local:
        access = ProjectAccess(vertex, registry, job, settings.name, base=settings.base)
        steps.run(check_project, access, settings.preflight == "on")


def _check_regions(connection: Connection, host: str) -> None:
    """Refuses a bucket outside of the job's region, and warns of a registry in another one."""
    from ...vertex.submit.region_check import check_bucket, far_registry

    check_bucket(connection)
    if warning := far_registry(host, connection.region):
        step_log("regions")(f"warning: {warning}")
