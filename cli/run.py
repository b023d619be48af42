"""`vertex-training run`."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..core.home import Home
from ..project.settings.settings import Freeze
from ..project.snapshot import Project
from ..project.source import check_source, is_git
from .load_blocks import load_block, load_registry, load_vertex
from .output import print_summary, show_only_steps
from .prefect_server import require_prefect

if TYPE_CHECKING:
    from ..images.plan import Builder

_OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""Importing Prefect makes some hundred thousand objects that stay: looking for garbage among them every 700, as Python
does by default, takes a tenth of the start."""


def run_project(
    project: str,
    args: list[str],
    *,
    ref: str,
    subfolder: str,
    git_token: str | None,
    registry: str | None,
    vertex: str | None,
    builder: Builder,
    verify: Literal["auto", "here", "locked"],
    freeze: Freeze,
    translate: bool,
    refresh: bool,
    size_limit_mb: float,
    as_json: bool,
) -> int:
    """Runs the flow `train` in this process and prints its result; returns the exit code."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    check_source(project, ref, subfolder, token=git_token is not None)
    if not is_git(project):  # a wrong folder is said at once, before anything slow is imported
        Project.open(Path(project) / subfolder, Home.default(), size_limit_mb=size_limit_mb or None)
    show_only_steps()
    # A first start of Prefect's own server migrates its database, which takes longer than its default patience.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    require_prefect()
    from prefect.blocks.system import Secret

    from ..flows.train import train

    result = train(
        project=project,
        ref=ref,
        subfolder=subfolder,
        git_token=load_block(Secret, git_token, "--git-token"),
        args=args,
        registry=load_registry(registry),
        vertex=load_vertex(vertex),
        builder=builder,
        verify=verify,
        freeze=freeze,
        translate=translate,
        refresh=refresh,
        size_limit_mb=size_limit_mb,
    )
    print_summary(result, sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(result.to_dict()))
    return 0
