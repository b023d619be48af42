"""The runs of the flow `train`: what Prefect knows of them, and what jobs, receipts and buckets tell.

Prefect also knows the runs that ended before they had a job. Buckets also know those of another Prefect server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterStartTime
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from ...core.errors import ProjectError
from .known_run import CLOUD, HERE, KnownRun, newest

FLOW = "train"

_PAGE = 200
_REGION = re.compile(r"[a-z]+-[a-z]+\d+")


def with_prefect(recorded: Sequence[KnownRun], project: str = "", *, limit: int, region: str = "") -> list[KnownRun]:
    """The newest runs that Prefect or a service knows, newest first.

    Args:
        recorded: What a service and its bucket know.
        project: Name of a project; empty for all.
        limit: Most runs.
        region: Only runs whose jobs run there; empty for all, on this machine and in the cloud.

    Raises:
        ProjectError: Prefect's server gave no answer.
    """
    known = {run.run: run for run in recorded}
    for run in _started_runs(project, limit, region):
        flow_run = _of_flow_run(run)
        same = known.get(flow_run.run)
        known[flow_run.run] = (
            replace(same, name=run.name, state=flow_run.state, started=flow_run.started, seconds=flow_run.seconds)
            if same
            else flow_run
        )
    return newest(known.values(), limit)


def _started_runs(project: str, limit: int, region: str) -> list[FlowRun]:
    """The newest runs that have started; a schedule's future runs are none of them."""
    found: list[FlowRun] = []
    with get_client(sync_client=True) as client:
        try:
            for page in _pages(client):
                found += [
                    run
                    for run in page
                    if "project" in run.parameters
                    and project in {"", *_projects(run)}
                    and (not region or _place(run) in {region, CLOUD})
                ]
                if len(found) >= limit:
                    break
        except Exception as error:
            raise ProjectError(
                f"Prefect's server can't list the runs: {error}",
                where=str(client.api_url),
                next_step="Try again when it answers",
            ) from error
    return found[:limit]


def _pages(client: SyncPrefectClient) -> Iterable[list[FlowRun]]:
    offset = 0
    while True:
        page = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
            flow_run_filter=FlowRunFilter(start_time=FlowRunFilterStartTime(is_null_=False)),
            sort=FlowRunSort.START_TIME_DESC,
            limit=_PAGE,
            offset=offset,
        )
        yield page
        if len(page) < _PAGE:
            return
        offset += _PAGE


def _of_flow_run(run: FlowRun) -> KnownRun:
    return KnownRun(
        run=str(run.id),
        project=_projects(run)[0],
        name=run.name,
        state=(run.state.name if run.state else None) or "Unknown",
        started=run.start_time.timestamp() if run.start_time else 0.0,
        seconds=run.total_run_time.total_seconds(),
        place=_place(run),
    )


def _place(run: FlowRun) -> str:
    """Where the run's job runs, by the tags that the run gave itself; by its parameters if it failed before."""
    if region := next(filter(_REGION.fullmatch, run.tags), ""):
        return region
    return CLOUD if run.parameters.get("vertex") and "local" not in run.tags else HERE


def _projects(run: FlowRun) -> list[str]:
    """Names of the run's project, the likeliest first: as the run is called, and the last part of its place.

    A run that failed early was not named after its project.
    """
    place = [_last_part(run.parameters.get(name)) for name in ("subfolder", "project")]
    named, found, _ = run.name.partition(" @ ")
    return [name for name in ([named] if found else []) + place if name] or ["unknown"]


def _last_part(value: Any) -> str:  # noqa: ANN401 - parameters hold anything
    return PurePath(str(value or "")).name.removesuffix(".git")
