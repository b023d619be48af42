"""Who waits for whom: runs of one project take turns, and a region is not asked for too many jobs at once.

Both are Prefect's global concurrency limits, made on first use; whoever changes one in the UI (or with `prefect gcl
update`) has changed it for good. They are politeness: that a request makes one job doesn't depend on them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.logging import get_run_logger

from ..vertex.client.connection import Connection
from ..vertex.submit.attempts import jobs_of
from ..vertex.submit.submission import counts

LEASE = 60.0
"""Seconds after which the turn of a run that crashed is over; the least that Prefect allows."""

SUBMISSIONS = 60
"""That a project may make in a region and a minute, as Google counts them: creates and deletes together."""


@contextmanager
def turn(project: str, connection: Connection, key: str) -> Iterator[None]:
    """Lets one scheduled or triggered run of a project train at a time; the others wait here.

    A run that a person starts in a terminal belongs to no deployment and takes no turn, and a retried run whose job
    is there already follows it at once.

    Args:
        project: The project's name.
        connection: Where the job goes.
        key: Of the job.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None or (run.run_count > 1 and _has_job(connection, key)):
        yield
        return
    name = f"train-{project}"
    if _free(name, limit=1) <= 0:
        line = "another run of %s is training: waiting for a slot of the concurrency limit %s"
        get_run_logger().info(line, project, name, extra={"step": "submit"})
    holder = ConcurrencyLeaseHolder(type="flow_run", id=run.id)
    # A lost lease costs the turn; it must never stop a training that is being paid for.
    with concurrency(name, lease_duration=LEASE, holder=holder, raise_on_lease_renewal_failure=False):
        yield


def submission_turn(connection: Connection) -> None:
    """Waits until the region may be asked for one more job; this machine's own service needs no such care."""
    if connection.endpoint.local or FlowRunContext.get() is None:
        return
    name = f"vertex-submissions-{connection.project}-{connection.region}"
    if _free(name, limit=SUBMISSIONS, decay=SUBMISSIONS / 60) <= 0:
        line = "more than %d submissions in a minute: waiting for a slot of the concurrency limit %s"
        get_run_logger().info(line, SUBMISSIONS, name, extra={"step": "submit"})
    rate_limit(name)


def _has_job(connection: Connection, key: str) -> bool:
    return any(map(counts, jobs_of(connection, key)))


def _free(name: str, *, limit: int, decay: float = 0.0) -> int:
    """How many slots of a limit are free; it is made if there is none."""
    with get_client(sync_client=True) as client:
        try:
            found = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            wanted = GlobalConcurrencyLimitCreate(name=name, limit=limit, slot_decay_per_second=decay)
            with contextlib.suppress(ObjectAlreadyExists):  # another run may be quicker
                client.create_global_concurrency_limit(wanted)
            return limit
    return found.limit - found.active_slots
