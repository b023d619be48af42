"""`vertex-training local env|exec`: the environment in which programs take this machine for Google's cloud."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from cyclopts import Parameter

from ...core.errors import TrainingError
from ...core.home import Home
from ..local_cloud_options import OtherHosts, OwnHosts, Projects, Regions, cloud_options


def env(
    *,
    form: Annotated[
        Literal["sh", "fish", "dotenv", "json"],
        Parameter(name="--format", help="For `eval` in a shell, for fish, as NAME=VALUE lines, or as JSON."),
    ] = "sh",
    project: Projects = (),
    region: Regions = (),
    other_hosts: OtherHosts = "refuse",
    host: OwnHosts = (),
) -> None:
    """Print the environment in which Google's clients use the service with unchanged code; starts it if needed."""
    from ...local_vertex import command
    from ...local_vertex.cloud import client_variables

    cloud = cloud_options(other_hosts=other_hosts, host=host)
    service = command.start_as_cloud(Home.default(), project, region, **cloud)
    print(client_variables.shown(service, form))


def exec_(
    *,
    project: Projects = (),
    region: Regions = (),
    other_hosts: OtherHosts = "refuse",
    host: OwnHosts = (),
    script_args: Annotated[tuple[str, ...], Parameter(show=False, parse=False)] = (),
) -> None:
    """Run the command after `--` in that environment; starts the service if needed.

    The exit status is the command's.
    """
    from ...local_vertex import command
    from ...local_vertex.cloud import client_variables

    if not script_args:
        raise TrainingError(
            "there is no command to run", where="local exec", next_step="Write it after --: local exec -- python x.py"
        )
    cloud = cloud_options(other_hosts=other_hosts, host=host)
    service = command.start_as_cloud(Home.default(), project, region, **cloud)
    try:
        os.execvpe(script_args[0], list(script_args), client_variables.changed(service))  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise TrainingError(
            f"the command can't be run: {error.strerror}", where=script_args[0], next_step="Check its name and path"
        ) from error
