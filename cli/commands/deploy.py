"""`vertex-training deploy`: makes a Prefect deployment of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ...core.errors import ProjectError
from ..load_blocks import load_git_token, load_registry, load_vertex
from ..options import (
    AllowedRegion,
    Fallback,
    GitToken,
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
from ..output import print_message
from ..prefect_session import prefect_server

if TYPE_CHECKING:
    from ..prefect_server.kept_server import KeptServer


def deploy(
    project: Project,
    /,
    *,
    name: Annotated[str | None, Parameter(help="The deployment's name. Default: the project's name.")] = None,
    cron: Annotated[
        str | None,
        Parameter(help='When to run, in UTC, such as "0 2 * * *". Default: only when somebody starts a run.'),
    ] = None,
    work_pool: Annotated[
        str | None,
        Parameter(help="The work pool whose workers execute the runs. Default: this process executes them."),
    ] = None,
    image: Annotated[
        str | None,
        Parameter(help="For a work pool that runs containers: an image in which this package is installed."),
    ] = None,
    ref: Ref = "",
    subfolder: Subfolder = "",
    git_token: GitToken = None,
    registry: RegistryBlock = None,
    vertex: VertexBlock = None,
    max_cost: MaxCost = 0,
    launcher: LauncherOption = None,
    processes: Processes = 0,
    fallback: Fallback = (),
    allowed_region: AllowedRegion = (),
    overwrite: Annotated[
        bool, Parameter(help="Replace a deployment of another project that has the same name.")
    ] = False,
    sweep: Annotated[
        bool,
        Parameter(help="Each run is a sweep, as [tool.vertex-training.sweep] describes it."),
    ] = False,
    temporary_server: TemporaryServer = False,
    script_args: ScriptArgs = (),
) -> None:
    """Make a Prefect deployment of PROJECT: its runs are scheduled by cron, or started from Prefect's UI.

    Without a work pool this command keeps running and executes the runs itself, until you stop it. A run of a git
    repository trains the newest commit of its branch.

    Arguments after `--` are passed to the training script.
    """
    from ...project.source import check_source

    project = str(project)
    check_source(project, ref, subfolder, token=git_token is not None)
    if image and not work_pool:
        raise ProjectError(
            "only runs of a work pool are containers", where="--image", next_step="Name the pool: --work-pool POOL"
        )
    default_name = _project_name(project, subfolder)  # reads a folder's project, so that errors in it are reported now
    name = name or default_name
    with prefect_server(temporary=temporary_server) as kept:
        from ...deployments.parameters import check_cron, parameters_of

        check_cron(cron)
        parameters = parameters_of(
            project,
            list(script_args),
            ref=ref,
            subfolder=subfolder,
            git_token=load_git_token(git_token),
            registry=load_registry(registry),
            vertex=load_vertex(vertex),
            machine={"max_cost": max_cost, "launcher": launcher, "processes": processes},
            fallback=fallback,
            allowed_regions=allowed_region,
        )
        flow = "sweep" if sweep else "train"
        _show_changes(name, parameters, cron=cron, pool=work_pool, image=image, overwrite=overwrite, flow=flow)
        if kept is not None:
            print_message(_kept_server(kept, work_pool))
        if work_pool is None:
            from ...deployments.serve import serve

            serve(name=name, parameters=parameters, cron=cron, flow=flow)
            return
        from ...deployments.pools import deploy_to_pool

        deployment = deploy_to_pool(work_pool, name=name, parameters=parameters, cron=cron, image=image, flow=flow)
    print(f"deployed {deployment} to the work pool {work_pool}{f', cron {cron}' if cron else ''}")
    print(f"run it now: prefect deployment run '{deployment}'")


def _show_changes(name: str, parameters: dict[str, Any], *, flow: str, **options: Any) -> None:  # noqa: ANN401 - as `changes_of`
    """Prints what changes of an existing deployment, before it is changed.

    Raises:
        ProjectError: It is another project's.
    """
    from ...deployments.existing_deployment import changes_of

    if changes := changes_of(name, parameters, flow=flow, **options):
        print_message("\n    ".join([f"the deployment {flow}/{name} exists; this changes:", *changes]))


def _kept_server(kept: KeptServer, work_pool: str | None) -> str:
    """Which server has the deployment, and what its users need to know."""
    text = f"on the kept Prefect server {kept.pages}; `vertex-training local open` opens it and prints its password"
    connect = 'connect workers and the command prefect: eval "$(vertex-training local prefect-env)"'
    return f"{text}\n{connect}" if work_pool else text


def _project_name(project: str, subfolder: str) -> str:
    """The name in the project's settings; for a repository, which isn't cloned yet, the name of its last folder.

    Raises:
        ProjectError: The folder is no valid project.
    """
    from ...core.home import Home
    from ...project.snapshot import Project as Snapshot
    from ...project.source import is_git, repository_name

    if is_git(project):
        return subfolder.rstrip("/").rpartition("/")[2] or repository_name(project)
    return Snapshot.open(Path(project) / subfolder, Home.default()).settings.name
