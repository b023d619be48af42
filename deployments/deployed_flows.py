"""The flows that deployments are made of."""

from __future__ import annotations

from typing import Any, Literal

from prefect import Flow

FlowName = Literal["train", "sweep"]


def deployed_flow(name: FlowName) -> Flow[..., Any]:
    """The flow of that name; only that one is imported."""
    if name == "sweep":
        from ..flows.sweep import sweep

        return sweep
    from ..flows.train import train

    return train
