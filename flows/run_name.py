"""What a run is called and tagged, so that a list of runs reads by itself."""

from __future__ import annotations

import re
import subprocess

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from ..project.git import revision
from ..project.snapshot import Project
from ..tasks.reporting.artifacts import optional_display
from .job_request import machine

_GENERATED = re.compile(r"[a-z]+-[a-z]+")
"""Prefect's own, as "immortal-sparrow"; a name that a person gave stays."""


def run_name(project: Project, region: str | None) -> str:
    """What is trained, which version of it, on what: "digits @ 3f2a1c0 on g2-standard-8".

    Args:
        project: What is trained.
        region: The cloud's; None for this machine.
    """
    wanted = machine(project.settings.job.machine)
    gpus = f" with {wanted.accelerator_count} {wanted.accelerator_type}" if wanted.accelerator_type else ""
    place = f"{wanted.machine_type}{gpus}" if region else "this machine"
    return f"{project.settings.name} @ {version(project)} on {place}"


def run_tags(project: Project, region: str | None) -> set[str]:
    """What a person filters runs by."""
    return {
        project.settings.name,
        *((region, machine(project.settings.job.machine).machine_type) if region else ("local",)),
    }


def version(project: Project) -> str:
    """The commit, with a `+` if files differ from it; outside of git the content's fingerprint."""
    commit = revision(project.root)
    if not commit:
        return project.fingerprint[:7]
    command = ["git", "-C", str(project.root), "status", "--porcelain", "--", "."]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return commit[:7]
    return f"{commit[:7]}{'+' if done.stdout.strip() else ''}"


def name_run(project: Project, region: str | None) -> None:
    """Renames the flow run, unless a person named it, and adds tags to those it has."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    name = run_name(project, region) if _GENERATED.fullmatch(run.name) else run.name
    labels = sorted({*run.tags, *run_tags(project, region)})
    if (name, labels) == (run.name, sorted(run.tags)):
        return
    with optional_display(), get_client(sync_client=True) as client:
        client.update_flow_run(run.id, name=name, tags=labels)
        run.name, run.tags = name, labels  # the job is called after the run
