"""Step 5 of the road: one job for the run, followed to its end, and the receipt of its model.

Imported when it is reached: what it needs takes a while to load, and the first step need not wait for that.
"""

from __future__ import annotations

from prefect.runtime import flow_run as current_run

from ..project.freeze import Lock
from ..project.revision import revision
from ..project.snapshot import Project
from ..tasks.receipt import receipt_step
from ..vertex.connection import Connection
from ..vertex.model import JobRequest, Origin, Outcome, Receipt
from ..vertex.submission import job_key
from .attempts import run_job
from .limits import turn
from .steps import Steps


def trained(
    steps: Steps,
    connection: Connection,
    request: JobRequest,
    project: Project,
    lock: Lock,
    *,
    key: list[str],
    allowed: int,
) -> tuple[Outcome, Receipt]:
    """Brings the request's job to its success, when it is this run's turn, and takes its model's receipt.

    Args:
        steps: Keeps account.
        connection: Where to.
        request: What to run.
        project: What is trained.
        lock: Its frozen dependencies.
        key: What makes this request this one, in this run.
        allowed: How many jobs may be made, from `jobs_allowed`.

    Raises:
        JobFailed: It ended without success.
        VertexError: It could not be submitted or followed, or left no model.
    """
    run = str(current_run.id)
    name = job_key(run, "submit", *key)
    with turn(project.settings.name, connection, name):
        outcome = run_job(steps, connection, request, name, allowed=allowed)
        origin = Origin(project.fingerprint, revision(project.root), lock.digest, run)
        return outcome, steps.run(receipt_step(connection, request.output), connection, outcome, origin)
