"""`vertex-training setup`: makes the Prefect blocks for a registry and Vertex AI, and tries them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ...core.errors import ProjectError, TrainingError
from ..load_blocks import load_block
from ..options import TemporaryServer
from ..output import print_error
from ..prefect_session import prefect_session
from ..setup_answers import Answers, ask
from ..setup_blocks import block_exists, make_blocks

if TYPE_CHECKING:
    from prefect.blocks.core import Block


def setup(
    *,
    name: Annotated[
        str, Parameter(help="The name that the blocks are saved under, as in `run --registry NAME --vertex NAME`.")
    ] = "training",
    registry: Annotated[str, Parameter(help="Where images go, as HOST/PROJECT/REPOSITORY.")] = "",
    registry_user: Annotated[
        str,
        Parameter(
            help="The user of a registry that isn't Google's; the password is asked for, or read from standard input."
        ),
    ] = "",
    project: Annotated[str, Parameter(help="The Google Cloud project's id.")] = "",
    region: Annotated[str, Parameter(help="The region in which jobs run, such as europe-west4.")] = "",
    bucket: Annotated[str, Parameter(help="The Cloud Storage bucket for models.")] = "",
    key_file: Annotated[
        str, Parameter(help="A service account's key file. Default: the application default credentials.")
    ] = "",
    endpoint: Annotated[str, Parameter(help="Another address of the Vertex AI API than Google's (optional).")] = "",
    check: Annotated[bool, Parameter(help="Only try the blocks that are saved under the name.")] = False,
    overwrite: Annotated[bool, Parameter(help="Replace blocks that are saved under the name.")] = False,
    temporary_server: TemporaryServer = False,
) -> int:
    """Make the Prefect blocks that say where images go and where jobs run, and try them.

    Without options it asks. It exits with 2 when a block doesn't work; the blocks are saved all the same.
    """
    answers = Answers(registry, registry_user, project, region, bucket, key_file, endpoint)
    with prefect_session(temporary=temporary_server):
        if check:
            return _try_blocks(_load_saved(name), name)
        interactive = answers == Answers()
        if interactive and not sys.stdin.isatty():
            raise ProjectError("nothing to set up", where="setup", next_step="Give --registry or --project; see --help")
        blocks = _ask_until_valid() if interactive else make_blocks(answers)
        _save(blocks, name, overwrite=overwrite)
        return _try_blocks(blocks, name)


def _ask_until_valid() -> list[Block]:
    """The blocks of what a person types; wrong answers are asked for again, with all answers as defaults."""
    answers = Answers()
    while True:
        answers = ask(answers)
        try:
            return make_blocks(answers)
        except TrainingError as error:
            print_error(error)


def _save(blocks: list[Block], name: str, *, overwrite: bool) -> None:
    """Saves the blocks, which are all valid by now.

    Raises:
        ProjectError: One is saved under that name already, and `overwrite` is False; none was saved.
    """
    taken = [type(block).__name__ for block in blocks if block_exists(type(block), name)]
    if taken and not overwrite:
        raise ProjectError(
            f"a {' and a '.join(taken)} block called {name!r} is there already",
            where="--name",
            next_step="Choose another name, or replace what is there: --overwrite",
        )
    for block in blocks:
        block.save(name, overwrite=True)
        print(f"saved    {type(block).__name__} {name}")


def _load_saved(name: str) -> list[Block]:
    """The saved registry and Vertex AI blocks of that name.

    Raises:
        ProjectError: There is neither, or one of them is no longer valid.
    """
    from ...blocks.registry import ContainerRegistry
    from ...blocks.vertex_ai import VertexAI

    kinds = [kind for kind in (ContainerRegistry, VertexAI) if block_exists(kind, name)]
    if not kinds:
        raise ProjectError(
            f"no ContainerRegistry or VertexAI block is called {name!r}",
            where="--name",
            next_step="Make them: vertex-training setup",
        )
    return [load_block(kind, name, "--name") for kind in kinds]


def _try_blocks(blocks: list[Block], name: str) -> int:
    """Tries each registry and Vertex AI block, prints how to use them, and returns the exit code."""
    from prefect.settings import get_current_settings

    from ...blocks.checks import check_registry, check_vertex
    from ...blocks.registry import ContainerRegistry
    from ...blocks.vertex_ai import VertexAI

    failed = False
    options = ""
    for block in blocks:
        try:
            if isinstance(block, ContainerRegistry):
                options += f" --registry {name}"
                print(f"works    {check_registry(block)}")
            elif isinstance(block, VertexAI):
                options += f" --vertex {name}"
                print(f"works    {check_vertex(block)}")
        except TrainingError as error:
            failed = True
            print(f"FAILS    {error}")
    failed = _print_preflight(blocks) or failed
    if not get_current_settings().connected_to_cloud:
        print(
            "note     a Prefect server for a team should keep its data in PostgreSQL: with SQLite more than about "
            "five runs at once fail (PREFECT_SERVER_DATABASE_CONNECTION_URL; docs/runs.md)"
        )
    print(
        f"try them again: vertex-training setup --check --name {name}" if failed else f"use them: run PROJECT{options}"
    )
    return 2 if failed else 0


def _print_preflight(blocks: list[Block]) -> bool:
    """Prints the checks of the blocks' Google Cloud project; returns whether one failed."""
    from ...blocks.registry import ContainerRegistry
    from ...blocks.vertex_ai import VertexAI
    from ...tasks.preflight import ProjectAccess
    from ...vertex.preflight import readiness
    from ...vertex.preflight.google_api import NotMade
    from ...vertex.preflight.preflight import preflight

    vertex = next((block for block in blocks if isinstance(block, VertexAI)), None)
    registry = next((block for block in blocks if isinstance(block, ContainerRegistry)), None)
    if vertex is None or vertex.connection().endpoint.local:
        return False
    access = ProjectAccess(vertex, registry, None)
    try:
        findings = preflight(access.subject, access.api())
    except NotMade:  # the blocks' own test has said what is missing
        return False
    print("\n".join([*map(str, findings), readiness.summary(findings)]))
    return any(finding.status == "FAIL" for finding in findings)
