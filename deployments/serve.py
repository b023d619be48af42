"""Serves the train flow: executes scheduled and triggered runs on this machine."""

from __future__ import annotations

from typing import Any

from prefect.types.entrypoint import EntrypointType

from .deployed_flows import FlowName, deployed_flow


def serve(*, name: str, parameters: dict[str, Any], cron: str | None = None, flow: FlowName = "train") -> None:
    """Creates a deployment of a flow for one project and executes its runs until interrupted.

    The deployment names the flow by its module, so it does not depend on the location of this package's files.

    Args:
        name: The deployment's name.
        parameters: Parameters of the flow.
        cron: Schedule in UTC. Default: none; runs have to be triggered.
        flow: The flow.
    """
    deployed_flow(flow).serve(name=name, cron=cron, parameters=parameters, entrypoint_type=EntrypointType.MODULE_PATH)
