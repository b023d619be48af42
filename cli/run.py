"""`vertex-training run`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.home import Home
from ..project.snapshot import Project
from .output import print_summary, show_only_steps
from .prefect_api import require_prefect
from .saved import load_block

if TYPE_CHECKING:
    from ..tasks.plan import Builder


def run_project(
    project: Path,
    args: list[str],
    *,
    registry: str | None,
    vertex: str | None,
    builder: Builder,
    refresh: bool,
    as_json: bool,
) -> int:
    """Runs the flow `train` in this process and prints its result; returns the exit code."""
    Project.open(project, Home.default())  # a wrong folder is said at once, before anything slow is imported
    show_only_steps()
    # A first start of Prefect's own server migrates its database, which takes longer than its default patience.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    require_prefect()
    from ..blocks.registry import ContainerRegistry
    from ..blocks.vertex_ai import VertexAI
    from ..flows.train import train

    result = train(
        project=project,
        args=args,
        registry=load_block(ContainerRegistry, registry, "--registry"),
        vertex=load_block(VertexAI, vertex, "--vertex"),
        builder=builder,
        refresh=refresh,
    )
    print_summary(result, sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(result.to_dict()))
    return 0
