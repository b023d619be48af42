"""Serving the flow: its runs are scheduled, or triggered from Prefect's UI, and executed on this machine."""

from __future__ import annotations

from typing import Any

from prefect.types.entrypoint import EntrypointType

from ..flows.train import train


def serve(*, name: str, parameters: dict[str, Any], cron: str | None = None) -> None:
    """Makes a deployment of `train` for one project and runs what is scheduled or asked for, until interrupted.

    The flow is named by its module, so the deployment doesn't depend on where this package's files lie.

    Args:
        name: The deployment's name.
        parameters: The flow's.
        cron: When to run, in UTC; None runs only what is triggered.
    """
    train.serve(name=name, cron=cron, parameters=parameters, entrypoint_type=EntrypointType.MODULE_PATH)
