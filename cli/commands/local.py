"""`vertex-training local start|status|logs|stop`: the Vertex AI service on this machine, local_vertex."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from ...core.home import Home
from .prune import prune

local = App(name="local", help="Vertex AI on this machine: start it for other clients, look at its jobs, stop it.")
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
    project: Annotated[
        str | None, Parameter(help="The project id that the service answers for. Default: local.")
    ] = None,
    region: Annotated[str | None, Parameter(help="The region that it answers for. Default: us-central1.")] = None,
) -> None:
    """Start the service and print what another client needs to connect."""
    from ...local_vertex import command

    faults = command.parse_faults(switch)
    print(command.start(Home.default(), tcp=tcp, tls=tls, faults=faults, project=project, region=region))


@local.command
def status() -> None:
    """Print whether the service runs, how to connect to it, and which jobs it has."""
    from ...local_vertex import command

    print(command.status(Home.default()))


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


@local.command
def stop() -> None:
    """Stop the service; running jobs go on, and the next start finds them."""
    from ...local_vertex import command

    print(command.stop(Home.default()))
