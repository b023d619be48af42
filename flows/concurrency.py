"""Concurrency limits: runs of one project take turns, and a region gets no more job submissions than its quota allows.

Both are Prefect's global concurrency limits, created on first use. A change made in the UI or with `prefect gcl update`
is kept. Correctness doesn't depend on them: a request makes one job without them, too.
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

from ..tasks.reporting.step_log import step_log
from ..vertex.client.connection import Connection
from ..vertex.submit.attempts import jobs_of
from ..vertex.submit.submission import is_answer

LEASE = 60.0
"""Seconds after which a crashed run loses its slot; the least that Prefect allows."""

SUBMISSIONS = 60
"""Submissions a minute that Google allows a project in a region, creates and deletes together."""


@contextmanager
def turn(project: str, connection: Connection, key: str) -> Iterator[None]:
    """Lets one scheduled or triggered run of a project train at a time; the others wait here.

    A run that a person starts in a terminal belongs to no deployment and doesn't wait. Neither does a retried run whose
    job exists already.

    Args:
        project: The project's name.
        connection: Connection to where the job runs.
        key: The job's key.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None or (run.run_count > 1 and _has_job(connection, key)):
        yield
        return
    name = f"train-{project}"
    if _free(name, limit=1) <= 0:
        step_log("submit")(f"another run of {project} is training: waiting for a slot of the concurrency limit {name}")
    holder = ConcurrencyLeaseHolder(type="flow_run", id=run.id)
    # A lost lease only lets the next run begin early; it must never stop a training that is being paid for.
    with concurrency(name, lease_duration=LEASE, holder=holder, raise_on_lease_renewal_failure=False):
        yield


def submission_turn(connection: Connection) -> None:
    """Waits until one more job may be submitted in the region; local_vertex has no such quota."""
    if connection.endpoint.local or FlowRunContext.get() is None:
        return
    name = f"vertex-submissions-{connection.project}-{connection.region}"
    if _free(name, limit=SUBMISSIONS, decay=SUBMISSIONS / 60) <= 0:
        step_log("submit")(
            f"more than {SUBMISSIONS} submissions in a minute: waiting for a slot of the concurrency limit {name}"
        )
    rate_limit(name)


def _has_job(connection: Connection, key: str) -> bool:
    return any(map(is_answer, jobs_of(connection, key)))


def _free(name: str, *, limit: int, decay: float = 0.0) -> int:
    """How many slots of a limit are free; the limit is created if it doesn't exist."""
    with get_client(sync_client=True) as client:
        try:
            found = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            wanted = GlobalConcurrencyLimitCreate(name=name, limit=limit, slot_decay_per_second=decay)
            with contextlib.suppress(ObjectAlreadyExists):  # another run may have created it
                client.create_global_concurrency_limit(wanted)
            return limit
    return found.limit - found.active_slots
