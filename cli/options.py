"""Options that several commands share, each with its help text.

An option of one command alone stands in that command's signature.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter, validators

from ..core.job_fields import LAUNCHER, MAX_COST, PROCESSES, Launcher

Project: TypeAlias = Annotated[
    str | Path, Parameter(help="The project's folder, or the address of its git repository.")
]
"""It arrives as text; the type of a path lets shells complete it."""

ProjectFolder: TypeAlias = Annotated[Path, Parameter(help="The project's folder.")]

Ref: TypeAlias = Annotated[
    str, Parameter(help="The repository's branch, tag or whole commit id. Default: its default branch.")
]

Subfolder: TypeAlias = Annotated[str, Parameter(help="The project's folder inside the repository (optional).")]

GitToken: TypeAlias = Annotated[
    str | None, Parameter(help="A saved Secret block that holds the access token of a private repository (optional).")
]

RegistryBlock: TypeAlias = Annotated[
    str | None,
    Parameter(help="A saved ContainerRegistry block. Default: the image stays in an image layout on this machine."),
]

VertexBlock: TypeAlias = Annotated[
    str | None, Parameter(help="A saved VertexAI block. Default: local_vertex, on this machine.")
]

MaxCost: TypeAlias = Annotated[
    float,
    Parameter(
        help=f"{MAX_COST.description} In USD; 0: as the project's settings say.",
        validator=validators.Number(gte=0, lte=MAX_COST.maximum),
    ),
]

Fallback: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        help="A place to try when the one before has no machines, as region=europe-west4,strategy=SPOT,wait=10m; "
        "may be given several times. auto takes the allowed regions, the cheapest that has quota first."
    ),
]

AllowedRegion: TypeAlias = Annotated[
    tuple[str, ...], Parameter(help="A region to which the run's data may go; may be given several times.")
]

IgnoreRegion: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        help="A region of the fall-back list that is neither asked nor used, because it doesn't answer and surely "
        "has no job of this run; may be given several times."
    ),
]

LauncherOption: TypeAlias = Annotated[
    Launcher | None,
    Parameter(name="--launcher", help=f"{LAUNCHER.description} Default: as the project's settings say."),
]

Processes: TypeAlias = Annotated[
    int,
    Parameter(
        help=f"{PROCESSES.description} 0: as the project's settings say.",
        validator=validators.Number(gte=0, lte=64),
    ),
]

TemporaryServer: TypeAlias = Annotated[
    bool,
    Parameter(
        help="Use a Prefect server that ends with this command, in place of the one that stays. Of no effect where "
        "PREFECT_API_URL names one."
    ),
]

Json: TypeAlias = Annotated[
    bool, Parameter(name="--json", help="Print the result as JSON on standard output; all else goes to standard error.")
]

ScriptArgs: TypeAlias = Annotated[tuple[str, ...], Parameter(parse=False)]
"""The training script's arguments: everything after `--`, unchanged. `main` passes them to commands that have this."""

ProjectName: TypeAlias = Annotated[str, Parameter(help="A project's name, or its folder. Default: all projects.")]

Limit: TypeAlias = Annotated[int, Parameter(help="Most lines.", validator=validators.Number(gte=1))]
