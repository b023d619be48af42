"""`vertex-training`: what a person types; every command is a few lines over flows and engines.

Exit codes: 0 the model is there; 2 something a person can mend, said in one line; 130 interrupted; 1 a fault
of this program, with its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from ..core.errors import TrainingError
from ..project.settings.settings import Freeze
from .output import print_error

app = App(
    name="vertex-training",
    help="Takes training code from your machine to a finished Vertex AI job.",
    version_flags=["--version"],
    result_action="return_value",
)

app.command("prefect_vertex_training.cli.local:app", name="local", help="Vertex AI on this machine.")


@app.command
def run(
    project: str,
    /,
    *,
    ref: str = "",
    subfolder: str = "",
    git_token: str | None = None,
    registry: str | None = None,
    vertex: str | None = None,
    builder: Literal["auto", "direct", "docker"] = "auto",
    verify: Literal["auto", "here", "locked"] = "auto",
    freeze: Freeze = "auto",
    translate: Annotated[bool, Parameter(negative="")] = False,
    refresh: Annotated[bool, Parameter(negative="")] = False,
    size_limit_mb: float = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
    script_args: Annotated[tuple[str, ...], Parameter(parse=False)] = (),
) -> int:
    """Take PROJECT from here to a finished job; arguments after `--` go to the training script.

    Args:
        project: The project's folder, or the address of its git repository.
        ref: The repository's branch, tag or whole commit id; its default branch without.
        subfolder: The project's folder inside the repository.
        git_token: A saved Secret block with the access token of a private repository.
        registry: A saved ContainerRegistry block; without one the image stays in this machine's layout.
        vertex: A saved VertexAI block; without one the job runs on this machine.
        builder: direct needs no Docker; docker uses the project's Dockerfile; auto takes docker if there is one.
        verify: here runs the script in your Python; locked in a clean environment made from the frozen list.
        freeze: The list of dependencies that counts; auto takes what is there, environment what is installed.
        translate: Make a conda list one for pip, with a report of what has no counterpart.
        refresh: Verify and freeze again even if nothing changed.
        size_limit_mb: Megabytes that the project's files may have; 0: as its settings say.
        json: Print one JSON object on stdout.
        script_args: What stood behind `--`.
    """
    from .run import run_project

    return run_project(
        project,
        list(script_args),
        ref=ref,
        subfolder=subfolder,
        git_token=git_token,
        registry=registry,
        vertex=vertex,
        builder=builder,
        verify=verify,
        freeze=freeze,
        translate=translate,
        refresh=refresh,
        size_limit_mb=size_limit_mb,
        as_json=json,
    )


@app.command
def dockerfile(project: Path, /) -> None:
    """Print the Dockerfile that `run --builder docker` uses for a PROJECT without one.

    Args:
        project: The project's folder.
    """
    from .dockerfile import dockerfile_of

    print(dockerfile_of(project), end="")


@app.command
def deploy(
    project: str,
    /,
    *,
    name: str | None = None,
    cron: str | None = None,
    work_pool: str | None = None,
    image: str | None = None,
    ref: str = "",
    subfolder: str = "",
    git_token: str | None = None,
    registry: str | None = None,
    vertex: str | None = None,
    script_args: Annotated[tuple[str, ...], Parameter(parse=False)] = (),
) -> int:
    """Make a Prefect deployment of PROJECT: scheduled by cron, or triggered from the UI.

    Without a work pool this machine serves it until you stop it.

    Args:
        project: The project's folder, or the address of its git repository, of which each run trains the newest.
        name: The deployment's name; the project's by default.
        cron: When to run, in UTC, as "0 2 * * *"; without it only what is triggered runs.
        work_pool: The pool whose workers execute the runs.
        image: For a pool that runs containers: an image that holds this package.
        ref: The repository's branch, tag or whole commit id; its default branch without.
        subfolder: The project's folder inside the repository.
        git_token: A saved Secret block with the access token of a private repository.
        registry: A saved ContainerRegistry block.
        vertex: A saved VertexAI block.
        script_args: What stood behind `--`.
    """
    from .deploy import deploy_project

    return deploy_project(
        project,
        list(script_args),
        name=name,
        cron=cron,
        work_pool=work_pool,
        image=image,
        ref=ref,
        subfolder=subfolder,
        git_token=git_token,
        registry=registry,
        vertex=vertex,
    )


@app.command
def orphans(
    *,
    vertex: str | None = None,
    cancel: Annotated[bool, Parameter(negative="")] = False,
    unknown: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """List the jobs that go on although their flow run is over; with --cancel, end them.

    Args:
        vertex: A saved VertexAI block; without one the jobs of this machine.
        cancel: Cancel them, and wait until each has ended.
        unknown: With --cancel: also those whose run this Prefect server does not know.
        json: Print one JSON list on stdout.
    """
    from .orphans import list_orphans

    return list_orphans(vertex=vertex, cancel=cancel, unknown=unknown, as_json=json)


@app.command
def setup(
    *,
    name: str = "training",
    registry: str = "",
    registry_user: str = "",
    project: str = "",
    region: str = "",
    bucket: str = "",
    key_file: str = "",
    endpoint: str = "",
    check: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Make the Prefect blocks that say where images go and jobs run, and try them; asks when no flag says anything.

    Args:
        name: What the blocks are called: `run --registry training --vertex training`.
        registry: Where images go, as HOST/PROJECT/REPOSITORY.
        registry_user: The user of a registry that isn't Google's; the password is asked for, or read from stdin.
        project: The Google Cloud project's id.
        region: The region in which jobs run.
        bucket: The Cloud Storage bucket for models.
        key_file: A service account's key; the application default credentials without.
        endpoint: Another address of the API than Google's.
        check: Only try the blocks that were saved under that name.
        overwrite: Replace blocks that are there under that name.
    """
    from .setup import Answers, set_up

    answers = Answers(registry, registry_user, project, region, bucket, key_file, endpoint)
    return set_up(answers, name=name, check=check, overwrite=overwrite)


def main(argv: Sequence[str] | None = None) -> None:
    """The program's entry point; exits the process."""
    words = list(sys.argv[1:] if argv is None else argv)
    words, rest = _split(words)
    try:
        command, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
        if rest is not None:
            if command not in (run, deploy):
                raise TrainingError(
                    "this command takes no arguments for a script", where="--", next_step="Leave them out"
                )
            bound.arguments["script_args"] = tuple(rest)
        code = command(*bound.args, **bound.kwargs)
    except CycloptsError as error:
        print(f"error: {' '.join(str(error).split())}. Ask for help: vertex-training --help", file=sys.stderr)
        code = 2
    except TrainingError as error:
        print_error(error)
        code = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """Everything after the first `--` belongs to the training script, untouched."""
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]
