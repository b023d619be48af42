"""Parameters of deployments of the train flow, and checks of options of `vertex-training deploy`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.blocks.core import Block

from ..core.errors import ProjectError
from ..flows.screening.checked_flow import check_parameters
from ..prefect_private import document_id
from ..project.source import is_git


def parameters_of(
    project: str,
    args: list[str],
    *,
    ref: str = "",
    subfolder: str = "",
    git_token: Block | None = None,
    registry: Block | None = None,
    vertex: Block | None = None,
    machine: Mapping[str, Any] | None = None,
    fallback: Sequence[str] = (),
    allowed_regions: Sequence[str] = (),
) -> dict[str, Any]:
    """Parameters of `train` as Prefect stores them: folders as absolute paths, blocks as references.

    Args:
        project: A folder of this machine, or a git repository's address.
        args: Arguments of the script, added to those of the project's settings.
        ref: Branch, tag or commit of the repository.
        subfolder: The project's folder inside the repository.
        git_token: A saved Secret block.
        registry: A saved ContainerRegistry block.
        vertex: A saved VertexAI block.
        machine: Fields of the machine's card in the form; those that are 0, empty or None are left to the project.
        fallback: The fall-back list in place of the project's.
        allowed_regions: Regions to which data may go.

    Raises:
        ProjectError: A parameter holds what looks like a secret.
    """
    check_parameters({"project": project, "args": args, "ref": ref, "subfolder": subfolder})
    place = project if is_git(project) else str(Path(project).expanduser().absolute())
    blocks = {"git_token": git_token, "registry": registry, "vertex": vertex}
    card = {name: value for name, value in (machine or {}).items() if value}
    lists = {"fallback": fallback, "allowed_regions": allowed_regions}
    return {
        "project": place,
        "args": args,
        **{name: text for name, text in (("ref", ref), ("subfolder", subfolder)) if text},
        **({"machine": card} if card else {}),
        **{name: list(lines) for name, lines in lists.items() if lines},
        **{name: _reference(block) for name, block in blocks.items() if block is not None},
    }


def _reference(block: Block) -> dict[str, Any]:
    return {"$ref": {"block_document_id": str(document_id(block))}}


def check_cron(cron: str | None) -> None:
    """Validates a cron expression as Prefect does.

    Raises:
        ProjectError: It is not valid.
    """
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    if cron is None:
        return
    try:
        CronSchedule(cron=cron)
    except ValidationError as error:
        raise ProjectError(
            "not a cron expression",
            where=f"--cron {cron!r}",
            next_step='Give minute, hour, day, month and weekday, as "0 2 * * *" for two every night',
        ) from error
