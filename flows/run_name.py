"""Names and tags of flow runs, which tell in a list what each run trains, in which version, and where."""

from __future__ import annotations

import re

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from ..project.git import is_changed, revision
from ..project.snapshot import Project
from ..tasks.reporting.artifacts import optional_display

_GENERATED = re.compile(r"[a-z]+-[a-z]+")
"""A name that Prefect generated, such as "immortal-sparrow"; names that people gave are kept."""


def run_name(project: Project, region: str | None) -> str:
    """The name of a run: project, version and machine, for example "digits @ 3f2a1c0 on g2-standard-8".

    Args:
        project: The project that is trained.
        region: Region of the job; None for this machine.
    """
    place = str(project.settings.job.machine) if region else "this machine"
    return f"{project.settings.name} @ {version(project)} on {place}"


def run_tags(project: Project, region: str | None) -> set[str]:
    """Tags by which people filter runs: the project, and region and machine type, or `local`."""
    return {
        project.settings.name,
        *((region, project.settings.job.machine.machine_type) if region else ("local",)),
    }


def version(project: Project) -> str:
    """The git commit, with a `+` where files differ from it; outside of git the project's fingerprint."""
    commit = revision(project.root)
    if not commit:
        return project.fingerprint[:7]
    return f"{commit[:7]}{'+' if is_changed(project.root) else ''}"


def name_run(project: Project, region: str | None) -> None:
    """Renames the flow run, unless a person named it, and adds tags to those that it has."""
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
