"""`vertex-training run`: runs the flow `train` in this process."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ...project.settings.settings import Freeze
from ..light_imports import import_ahead
from ..load_blocks import load_git_token, load_registry, load_vertex
from ..options import (
    AllowedRegion,
    Fallback,
    GitToken,
    IgnoreRegion,
    Json,
    LauncherOption,
    MaxCost,
    Processes,
    Project,
    Ref,
    RegistryBlock,
    ScriptArgs,
    Subfolder,
    TemporaryServer,
    VertexBlock,
)
from ..output import print_json, print_step, print_summary
from ..prefect_session import prefect_session
from ..run_page import page_announced

_OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""Importing Prefect makes some hundred thousand objects that stay: looking for garbage among them every 700, as Python
does by default, takes a tenth of the start."""


def run(
    project: Project,
    /,
    *,
    ref: Ref = "",
    subfolder: Subfolder = "",
    git_token: GitToken = None,
    registry: RegistryBlock = None,
    vertex: VertexBlock = None,
    builder: Annotated[
        Literal["auto", "direct", "docker"],
        Parameter(
            help="Who builds the image: direct needs no Docker; docker uses the project's Dockerfile; auto: docker if "
            "the project has a Dockerfile."
        ),
    ] = "auto",
    verify: Annotated[
        Literal["auto", "here", "locked", "image", "off"],
        Parameter(
            help="Which Python the local run uses: here is your own; locked is a clean environment with the frozen "
            "dependencies; image is that of the project's Dockerfile; off leaves the local run out; auto: as the "
            "project's settings say."
        ),
    ] = "auto",
    freeze: Annotated[
        Freeze,
        Parameter(
            help="Which list of dependencies is frozen: environment is what is installed in your Python; auto: as the "
            "project's settings say, else the list that is there."
        ),
    ] = "auto",
    translate: Annotated[
        bool, Parameter(help="Translate a conda list for pip, and report the packages that have no counterpart.")
    ] = False,
    refresh: Annotated[bool, Parameter(help="Verify and freeze again even if nothing changed.")] = False,
    size_limit_mb: Annotated[
        float,
        Parameter(help="Largest size of the project's files together, in megabytes; 0: as the project's settings say."),
    ] = 0,
    data: Annotated[
        tuple[str, ...],
        Parameter(
            help="A data set that the job gets, as NAME=PATH or NAME=gs://BUCKET/FOLDER; may be given several times, "
            "and comes before one of that name in the project's settings."
        ),
    ] = (),
    max_cost: MaxCost = 0,
    resume: Annotated[
        str,
        Parameter(
            help="An earlier run of the project whose checkpoints the job finds and continues from: its id or the "
            "beginning of it, its job, or its output's place. The earlier run's own checkpoints stay as they are."
        ),
    ] = "",
    verify_resume: Annotated[
        bool,
        Parameter(
            help="Stop the local run after its first checkpoint, start it again, and require that it continues there."
        ),
    ] = False,
    launcher: LauncherOption = None,
    processes: Processes = 0,
    fallback: Fallback = (),
    allowed_region: AllowedRegion = (),
    ignore_region: IgnoreRegion = (),
    temporary_server: TemporaryServer = False,
    as_json: Json = False,
    script_args: ScriptArgs = (),
) -> int:
    """Train PROJECT: from its folder to a finished job and its model.

    Arguments after `--` are passed to the training script.
    """
    from ...core.home import Home
    from ...project.run_secrets import refuse_given_secrets
    from ...project.snapshot import Project as Snapshot
    from ...project.source import check_source, is_git
    from ..pruning.home_pruning import prune_when_due

    project = str(project)
    check_source(project, ref, subfolder, token=git_token is not None)
    print_step("project", project)  # at once: the next line takes a while
    with _rare_garbage_collection():
        # Before Prefect is imported, which takes a while; the flow checks its parameters again.
        refuse_given_secrets(args=script_args, root=None if is_git(project) else Path(project) / subfolder)
        if not is_git(project):  # a mistake in the folder is told at once, before the slow import of Prefect
            Snapshot.open(Path(project) / subfolder, Home.default(), size_limit_mb=size_limit_mb or None)
        # Nobody can start this run again when it is lost, since it has no deployment: heartbeats would be for nothing.
        session = prefect_session(temporary=temporary_server, heartbeats=False)
        with session as kept, page_announced(kept), _shown_progress():
            from ...flows.form import PROJECTS, RunMachine
            from ...flows.train import train

            import_ahead()
            result = train(
                project=project,
                ref=ref,
                subfolder=subfolder,
                git_token=load_git_token(git_token),
                args=list(script_args),
                registry=load_registry(registry),
                vertex=load_vertex(vertex),
                builder=builder,
                verify=verify,
                freeze=freeze,
                translate=translate,
                refresh=refresh,
                size_limit_mb=size_limit_mb,
                data=list(data),
                machine=RunMachine(max_cost=max_cost, launcher=launcher or PROJECTS, processes=processes),
                resume=resume,
                verify_resume=verify_resume,
                fallback=list(fallback),
                allowed_regions=list(allowed_region),
                ignore_regions=list(ignore_region),
            )
        prune_when_due(Home.default())
    print_summary(result, sys.stderr if as_json else sys.stdout)
    if as_json:
        print_json(result.to_dict())
    return 0


@contextmanager
def _shown_progress() -> Iterator[None]:
    """Shows how far the run inside is."""
    from ...tasks.reporting.progress import followed
    from ..display.progress_display import ProgressDisplay

    with ProgressDisplay() as display, followed(display.follow):
        yield


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Looks for garbage less often while the block runs."""
    thresholds = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
