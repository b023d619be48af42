"""`vertex-training local ...`: the two servers that stay on this machine, local_vertex and Prefect's."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Parameter

from ...core.home import Home
from ..local_cloud_options import OtherHosts, OwnHosts, Projects, Regions, cloud_options
from ..output import print_message
from ..pruning.prune import prune
from . import local_exec

local = App(name="local", help="The servers that stay on this machine: Vertex AI's API (local_vertex), and Prefect's.")
local.command(local_exec.env)
local.command(local_exec.exec_, name="exec")
local.command(prune)


@local.command
def start(
    *,
    tcp: Annotated[
        bool,
        Parameter(help="Also listen on a loopback port, for clients that can't use a unix socket; needs the token."),
    ] = False,
    tls: Annotated[bool, Parameter(help="Also listen with TLS on a loopback port.")] = False,
    switch: Annotated[
        tuple[str, ...],
        Parameter(help="A fault or a delay to simulate, as NAME=VALUE; may be given several times."),
    ] = (),
    project: Projects = (),
    region: Regions = (),
    as_cloud: Annotated[
        bool,
        Parameter(help="Also serve Google's hosts, to programs in the environment that `local env` prints."),
    ] = False,
    other_hosts: OtherHosts = "refuse",
    host: OwnHosts = (),
) -> None:
    """Start local_vertex and print what another client needs to connect."""
    from ...local_vertex import command

    cloud = cloud_options(other_hosts=other_hosts, host=host) if as_cloud else {}
    faults = command.parse_faults(switch)
    print(command.start(Home.default(), tcp=tcp, tls=tls, faults=faults, projects=project, regions=region, **cloud))


@local.command
def status(
    *,
    connect: Annotated[
        bool, Parameter(help="Also print how other clients connect, with tokens and passwords.")
    ] = False,
) -> None:
    """Print the jobs of this machine, and which servers run."""
    from ...local_vertex import command
    from ..prefect_server import command_text
    from ..preloaded import preload_lifecycle

    home = Home.default()
    print(command.status(home, connect=connect))
    print(command_text.status(home, connect=connect))
    if process := preload_lifecycle.find(home):
        memory = command_text.resident_megabytes(process)
        print(f"a process that has Prefect imported waits for the next run: process {process}, {memory:.0f} MB")


@local.command
def logs(
    job: Annotated[str | None, Parameter(help="The job's id or full name. Default: the newest job.")] = None,
    /,
    *,
    follow: Annotated[bool, Parameter(help="Print new lines until the job ends.")] = False,
) -> None:
    """Print a job's log."""
    from ...local_vertex import command

    for line in command.logs(Home.default(), job, follow=follow):
        print(line, flush=follow)


@local.command(name="open")
def open_page(
    run: Annotated[str, Parameter(help="The id of a run. Default: the list of all runs.")] = "",
    /,
) -> None:
    """Open the kept Prefect server's page in the browser, and print its address and password."""
    from ..prefect_server import command_text

    print(command_text.open_page(Home.default(), run))


@local.command(name="prefect-env")
def prefect_env() -> None:
    """Print the shell commands that connect Prefect's own programs to the kept server: `eval "$(...)"`."""
    from ..prefect_server import command_text

    print(command_text.environment(Home.default()))


@local.command
def stop(
    *,
    yes: Annotated[bool, Parameter(help="Don't ask, even if schedules or runs would end.")] = False,
) -> int:
    """Stop both servers; running jobs go on, and the next start finds them. Asks before schedules or runs end."""
    from ...local_vertex import command
    from ..prefect_server import command_text
    from ..preloaded import preload_lifecycle

    home = Home.default()
    if lines := command_text.would_end(home):
        print_message("\n".join(lines))
        if not yes and sys.stdin.isatty() and input("Stop all the same? [y/N] ").strip().lower() not in {"y", "yes"}:
            print_message("nothing was stopped")
            return 1
    print(command_text.stop(home))
    print(command.stop(home))
    if preload_lifecycle.stop(home):
        print("the process that waited for the next run ended")
    return 0
