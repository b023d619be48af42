"""`vertex-training local start|status|logs|stop`: this machine's own Vertex AI."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from ..core.home import Home
from ..local_vertex import command

app = App(name="local", help="Vertex AI on this machine: start it for another client, look at it, stop it.")


@app.command
def start(
    *,
    tcp: Annotated[bool, Parameter(negative="")] = False,
    tls: Annotated[bool, Parameter(negative="")] = False,
    switch: tuple[str, ...] = (),
    project: str | None = None,
    region: str | None = None,
) -> None:
    """Start the service and print what another client needs to connect.

    Args:
        tcp: Also listen on loopback, for clients that can't use a unix socket; they need the token.
        tls: With TLS too.
        switch: A fault or delay to play, as NAME=VALUE; may be given again.
        project: The project's id; "local" by default.
        region: "us-central1" by default.
    """
    faults = command.parse_faults(switch)
    print(command.start(Home.default(), tcp=tcp, tls=tls, faults=faults, project=project, region=region))


@app.command
def status() -> None:
    """Say whether the service runs, how to reach it, and which jobs it has."""
    print(command.status(Home.default()))


@app.command
def logs(job: str | None = None, /, *, follow: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print what a job wrote.

    Args:
        job: Its id or full name; the newest by default.
        follow: Go on until the job ends.
    """
    for line in command.logs(Home.default(), job, follow=follow):
        print(line, flush=follow)


@app.command
def stop() -> None:
    """Stop the service; running jobs go on, and the next start finds them."""
    print(command.stop(Home.default()))
