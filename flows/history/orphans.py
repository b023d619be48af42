"""Orphaned jobs: still running, and costing money, although their flow run has ended, as after a machine was lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from ...core.errors import ProjectError, TrainingError
from ...run_history import outer_runs
from ...tasks.stopping.run_places import every_noted_place
from ...vertex.client.connection import Connection
from ...vertex.labels import RUN_LABEL
from ...vertex.submit.cancellation import cancel
from ...vertex.submit.live_jobs import LabelledJob, live_jobs
from ..block_parameters import VertexParameter, connect, connect_in

UNKNOWN = "unknown"
"""State of a run that this Prefect server does not know; it may be on another server."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A live job whose flow run has ended.

    Attributes:
        job: The job.
        run: The flow run's id, from the job's label.
        run_state: How the run ended, as "CRASHED", or `UNKNOWN`.
    """

    job: LabelledJob
    run: str
    run_state: str

    @property
    def run_known(self) -> bool:
        """Whether this Prefect server has the run."""
        return self.run_state != UNKNOWN


def find_orphans(connection: Connection) -> list[Orphan]:
    """The live jobs of runs that have ended, or that this Prefect server does not know; oldest first.

    Raises:
        ProjectError: Prefect's server gave no answer, so no job can be judged.
        VertexError: The jobs can't be listed.
    """
    jobs = live_jobs(connection, RUN_LABEL)
    found = []
    with get_client(sync_client=True) as client:
        for job in jobs:
            ending = _ending(client, job.value)
            if ending is not None:
                found.append(Orphan(job, job.value, ending))
    return found


def find_everywhere(
    vertex: VertexParameter | None, *, warn: Callable[[str], None]
) -> tuple[list[Orphan], dict[str, Connection]]:
    """The orphans in the block's region, and in those of the fall-back lists of this machine's runs.

    Args:
        vertex: The project; None for this machine.
        warn: Called with a line for each further region that can't be asked.

    Returns:
        The orphans, and by each job's name the connection to its region.

    Raises:
        ProjectError, VertexError: As `find_orphans`, for the block's own region.
    """
    own = connect(vertex)
    found = [(orphan, own) for orphan in find_orphans(own)]
    for region, bucket in every_noted_place():
        # Of runs in the cloud there is nothing to find on this machine.
        if region == own.region or (vertex is None and bucket != own.bucket):
            continue
        try:
            connection = connect_in(vertex, region, bucket)
            found += [(orphan, connection) for orphan in find_orphans(connection)]
        except TrainingError as error:
            warn(f"{region} could not be asked: {error}")
    return [orphan for orphan, _ in found], {orphan.job.name: connection for orphan, connection in found}


def end_orphan(connection: Connection, orphan: Orphan, *, wait: float = 120.0) -> bool:
    """Cancels an orphaned job and waits for its end; returns False if its run has started again meanwhile.

    Raises:
        ProjectError: Prefect's server gave no answer; the job was not cancelled.
        VertexError: The job can't be cancelled, or is still live after `wait` seconds.
    """
    with get_client(sync_client=True) as client:
        if _ending(client, orphan.run) is None:
            return False
    cancel(connection, orphan.job.name, wait=wait)
    return True


def _may_go_on(run: FlowRun) -> bool:
    return run.state is None or not run.state.is_final()


def _ending(client: SyncPrefectClient, run: str) -> str | None:
    """A run's final state; None for a run that may go on."""
    try:
        found = client.read_flow_run(UUID(run))
        state = found.state
        # The next run of a flow that another flow calls, in a retry of the outer one, goes on with the same job.
        if state is not None and state.is_final() and any(map(_may_go_on, outer_runs(client, found))):
            return None
    except (ObjectNotFound, ValueError):  # labels that are no run id were not set by this package
        return UNKNOWN
    except TrainingError:
        raise
    except Exception as error:
        raise ProjectError(
            f"Prefect's server can't tell whether run {run} goes on",
            where=str(client.api_url),
            next_step="Try again when it answers: no job was cancelled",
        ) from error
    return state.type.value if state is not None and state.is_final() else None
