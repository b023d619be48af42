"""The deployment that already has a name: whose it is, and what a new one would change of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.errors import ProjectError

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

_NONE = "none"


def changes_of(
    name: str,
    parameters: Mapping[str, Any],
    *,
    cron: str | None,
    pool: str | None,
    image: str | None,
    overwrite: bool,
    flow: str = "train",
) -> list[str]:
    """What a new deployment changes of the one that has its name, one line each; empty if there is none.

    Args:
        name: The deployment's name.
        parameters: The new deployment's parameters of the flow.
        cron: Its schedule.
        pool: Its work pool.
        image: Its containers' image.
        overwrite: Whether it may replace the deployment of another project.
        flow: The flow's name.

    Raises:
        ProjectError: The name belongs to another project's deployment, and `overwrite` is False.
    """
    existing = _read(flow, name)
    if existing is None:
        return []
    before = _described(
        existing.parameters,
        ", ".join(_schedule(item.schedule) for item in existing.schedules),
        existing.work_pool_name,
        (existing.job_variables or {}).get("image"),
    )
    after = _described(parameters, cron, pool, image)
    if (before["project"], before.get("subfolder")) != (after["project"], after.get("subfolder")) and not overwrite:
        raise ProjectError(
            f"the deployment {flow}/{name} trains another project: {_place(before)}",
            where=f"--name {name}",
            next_step="Choose another name, or replace that deployment: --overwrite",
        )
    names = dict.fromkeys([*before, *after])
    return [
        f"{key}: {before.get(key, _NONE)} -> {after.get(key, _NONE)}"
        for key in names
        if before.get(key, _NONE) != after.get(key, _NONE)
    ]


def _read(flow: str, name: str) -> DeploymentResponse | None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(f"{flow}/{name}")
        except ObjectNotFound:
            return None


def _described(
    parameters: Mapping[str, Any], schedule: str | None, pool: str | None, image: str | None
) -> dict[str, str]:
    """What people know of a deployment, as text; without what is not set."""
    told = {name: _text(value) for name, value in parameters.items() if value not in (None, "", [], {})}
    told = {"project": _NONE, **told}
    rest = {"schedule": schedule, "work pool": pool, "image": image}
    return told | {name: value for name, value in rest.items() if value}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)


def _place(told: Mapping[str, str]) -> str:
    return told["project"] + (f", subfolder {told['subfolder']}" if "subfolder" in told else "")


def _schedule(schedule: object) -> str:
    """A schedule as the cron expression, or as the interval or rule that somebody made in Prefect's UI."""
    return str(next(filter(None, (getattr(schedule, name, None) for name in ("cron", "interval", "rrule"))), "?"))
