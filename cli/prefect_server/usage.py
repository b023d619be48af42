"""What uses the kept server: commands, schedules and live runs. Who polls it is seen by its requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ...core.home import Home
from .kept_server import use_path

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

INTERNAL = "x-vertex-training-internal"
"""Header of the server's questions about itself, which are no use of it."""

LONGEST_RUN = timedelta(days=8)
"""A run that is older was lost: Vertex AI ends jobs after seven days."""

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Usage:
    """What would end with the server.

    Attributes:
        schedules: Active schedules, as "train/digits (0 2 * * *)".
        runs: Names of the runs that run, or wait for their turn or time.
    """

    schedules: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


@contextmanager
def counted_as_use(home: Home) -> Iterator[None]:
    """Keeps the server from ending for the length of the block, or until this process ends."""
    import fcntl

    with use_path(home).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def is_used(home: Home) -> bool:
    """Whether a command uses the server, or a schedule or a live run needs it. Asked by the server itself.

    True if that can't be told.
    """
    import fcntl

    with use_path(home).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    try:
        usage = read_usage()
    except Exception:  # noqa: BLE001 - whatever it is, ending a server in use would be worse
        from prefect.logging import get_logger

        get_logger("server").exception("can't tell whether this server is in use")
        return True
    return bool(usage.schedules or usage.runs)


def read_usage() -> Usage:
    """Asks the server in Prefect's settings.

    Raises:
        Exception: It does not answer.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    live = [
        StateType.RUNNING,
        StateType.PENDING,
        StateType.CANCELLING,
        StateType.SCHEDULED,
        StateType.PAUSED,
    ]
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=live)))
    with get_client({"headers": {INTERNAL: "1"}}, sync_client=True) as client:
        deployments: list[DeploymentResponse] = []
        while len(page := client.read_deployments(limit=_PAGE, offset=len(deployments))) == _PAGE:
            deployments += page
        deployments += page
        flows = {flow.id: flow.name for flow in client.read_flows()} if deployments else {}
        runs = client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE)
    oldest = datetime.now(UTC) - LONGEST_RUN
    return Usage(
        schedules=[
            f"{flows.get(deployment.flow_id, 'train')}/{deployment.name} ({schedule_text(schedule.schedule)})"
            for deployment in deployments
            if not deployment.paused
            for schedule in deployment.schedules
            if schedule.active
        ],
        # Runs that a schedule made ahead of time are the schedule's.
        runs=[run.name for run in runs if not run.auto_scheduled and run.created and run.created > oldest],
    )


def schedule_text(schedule: object) -> str:
    """A schedule in a few words: the cron expression, or the interval."""
    for name in ("cron", "interval", "rrule"):
        if value := getattr(schedule, name, None):
            return f"every {value}" if name == "interval" else str(value)
    return "scheduled"
