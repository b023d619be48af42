"""`vertex-training plan`: says what `run` would do and cost, and does nothing of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ...project.settings.settings import Freeze
from ..load_blocks import load_git_token, load_registry, load_vertex
from ..options import (
    AllowedRegion,
    Fallback,
    GitToken,
    Json,
    LauncherOption,
    MaxCost,
    Processes,
    Project,
    Ref,
    RegistryBlock,
    ScriptArgs,
    Subfolder,
    VertexBlock,
)
from ..output import print_json, print_message
from ..prefect_session import prefect_session

if TYPE_CHECKING:
    from prefect.blocks.system import Secret


def plan(
    project: Project,
    /,
    *,
    ref: Ref = "",
    subfolder: Subfolder = "",
    git_token: GitToken = None,
    registry: RegistryBlock = None,
    vertex: VertexBlock = None,
    builder: Annotated[
        Literal["auto", "direct", "docker"], Parameter(help="Who would build the image, as for `run`.")
    ] = "auto",
    freeze: Annotated[Freeze, Parameter(help="Which list of dependencies would be frozen, as for `run`.")] = "auto",
    translate: Annotated[bool, Parameter(help="Translate a conda list for pip.")] = False,
    max_cost: MaxCost = 0,
    launcher: LauncherOption = None,
    processes: Processes = 0,
    fallback: Fallback = (),
    allowed_region: AllowedRegion = (),
    as_json: Json = False,
    script_args: ScriptArgs = (),
) -> int:
    """Say what `run` would do with PROJECT, and what it may cost.

    Nothing is built, sent or started; only the dependencies are resolved. Arguments after `--` are those of the
    training script.
    """
    from ...core.home import Home

    home = Home.default()
    session = prefect_session() if registry or vertex or git_token else nullcontext()
    with session, _folder(str(project), ref, subfolder, git_token) as folder:
        from ...flows.form import PROJECTS, RunMachine, with_choices
        from ...flows.job_request import RunName
        from ...flows.planning.cost_facts import CostFacts
        from ...flows.planning.dry_run import page_of
        from ...flows.planning.training_plan import Place, plan_in_place, refuse_unreachable_image
        from ...flows.screening.checked_flow import check_parameters
        from ...local_vertex.endpoint import BUCKET, DEFAULT_PROJECT, DEFAULT_REGION
        from ...project.snapshot import Project as Snapshot

        place_block, image_block = load_vertex(vertex), load_registry(registry)
        refuse_unreachable_image(place_block, image_block)
        check_parameters({"project": project, "ref": ref, "subfolder": subfolder, "args": list(script_args)})
        machine = RunMachine(max_cost=max_cost, launcher=launcher or PROJECTS, processes=processes)
        choices = partial(
            with_choices,
            machine=machine,
            verify="auto",
            freeze=freeze,
            translate=translate,
            fallback=fallback,
            allowed_regions=allowed_region,
        )
        snapshot = Snapshot.open(folder, home, adjust=choices)
        place = Place(
            place_block.region if place_block else DEFAULT_REGION,
            place_block.bucket if place_block else BUCKET,
            place_block,
        )
        run = RunName("run-id", "run")
        connection = place_block.connection() if place_block else None
        facts = CostFacts(snapshot.settings, place_block, connection, home) if place_block and connection else None
        planned = plan_in_place(snapshot, script_args, place, run, builder=builder, facts=facts)
        project_id = connection.project if connection else DEFAULT_PROJECT
        page = page_of(planned, script_args, run, image_block, project_id, builder=builder, home=home, facts=facts)
        if facts and (trouble := facts.trouble()):
            print_message(f"warning: the billing catalog can't be read, so prices are the built-in ones: {trouble}")
    if as_json:
        print_json(page.to_dict())
    else:
        print("\n".join(page.lines()))
    return 0


@contextmanager
def _folder(project: str, ref: str, subfolder: str, git_token: str | None) -> Iterator[Path]:
    """The project's folder; a clone of a repository exists as long as the `with` block runs."""
    from ...project.source import check_source, is_git, repository_name

    check_source(project, ref, subfolder, token=git_token is not None)
    if not is_git(project):
        yield Path(project).expanduser() / subfolder
        return
    from ...tasks.fetch import pull

    token: Secret[str] | None = load_git_token(git_token)
    with tempfile.TemporaryDirectory(prefix="vertex-training-plan-") as parent:
        clone = Path(parent) / repository_name(project)
        pull(project, ref, token, clone)
        yield clone / subfolder
