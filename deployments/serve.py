"""Serving the flow: its runs are scheduled, or triggered from Prefect's UI, and executed on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.blocks.core import Block
from prefect.types.entrypoint import EntrypointType

from ..flows.train import train


def serve(
    project: Path,
    *,
    name: str,
    args: list[str],
    registry: Block | None = None,
    vertex: Block | None = None,
    cron: str | None = None,
) -> None:
    """Makes a deployment of `train` for one project and runs what is scheduled or asked for, until interrupted.

    The flow is named by its module, so the deployment doesn't depend on where this package's files lie.

    Args:
        project: The project's folder on this machine.
        name: The deployment's name.
        args: The script's arguments, after those of the project's own settings.
        registry: A saved ContainerRegistry block.
        vertex: A saved VertexAI block.
        cron: When to run, in the server's time zone; None runs only what is triggered.
    """
    parameters: dict[str, Any] = {"project": str(project.expanduser().absolute()), "args": args}
    for key, block in (("registry", registry), ("vertex", vertex)):
        if block is not None:
            parameters[key] = {"$ref": {"block_document_id": str(block._block_document_id)}}  # noqa: SLF001 - no public name
    train.serve(name=name, cron=cron, parameters=parameters, entrypoint_type=EntrypointType.MODULE_PATH)
