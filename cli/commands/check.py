"""`vertex-training check`: whether a Google Cloud project is ready for a run, before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ...core.errors import ProjectError
from ..load_blocks import load_registry, load_vertex
from ..options import Json, RegistryBlock, VertexBlock
from ..output import print_json
from ..prefect_session import prefect_session

if TYPE_CHECKING:
    from ...blocks.vertex_ai import VertexAI
    from ...flows.planning.training_plan import TrainingPlan


def check(
    project: Annotated[
        Path | None,
        Parameter(help="The project's folder, whose job is checked against quotas. Default: the blocks alone."),
    ] = None,
    /,
    *,
    registry: RegistryBlock = None,
    vertex: VertexBlock = None,
    as_json: Json = False,
) -> int:
    """Check services, rights, quotas and places of the cloud project that the blocks name.

    Nothing is changed. Each line is PASS, FAIL or UNKNOWN, which means that the question could not be asked; a line
    that isn't PASS has the command that puts it right.
    """
    if vertex is None:
        raise ProjectError(
            "a check needs a VertexAI block", where="--vertex", next_step="Name a saved one: --vertex BLOCK"
        )
    with prefect_session():
        from ...tasks.preflight import ProjectAccess
        from ...vertex.preflight import readiness
        from ...vertex.preflight.google_api import NotMade
        from ...vertex.preflight.preflight import JOB_CHECKS, PLACE_CHECKS, begin

        place_block, image_block = load_vertex(vertex), load_registry(registry)
        assert place_block is not None
        access = ProjectAccess(place_block, image_block, None)
        try:
            api = access.api()
        except NotMade as error:
            raise ProjectError(
                f"there are no Google credentials: {error}",
                where=f"VertexAI {vertex}",
                next_step="Run `gcloud auth application-default login`, or give the block credentials",
            ) from None
        of_place = begin(PLACE_CHECKS, access.subject, api)  # answers come while the project's files are read
        if project is not None:
            planned = _planned(project, place_block)
            settings = planned.project.settings
            access = ProjectAccess(place_block, image_block, planned.job, settings.name, base=settings.base)
        findings = [*of_place(), *begin(JOB_CHECKS, access.subject, api)()]
    if as_json:
        print_json(readiness.as_table(findings))
    else:
        print("\n".join([*map(str, findings), readiness.summary(findings)]))
    return 2 if any(finding.status == "FAIL" for finding in findings) else 0


def _planned(project: Path, block: VertexAI) -> TrainingPlan:
    """What a run of the project would do."""
    from ...core.home import Home
    from ...flows.job_request import RunName
    from ...flows.planning.training_plan import Place, plan_training
    from ...project.snapshot import Project

    place = Place(block.region, block.bucket, block)
    return plan_training(Project.open(project, Home.default()), [], place, RunName("run-id", "run"))
