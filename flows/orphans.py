"""Jobs whose flow run is over: what a machine that was lost leaves behind, and goes on costing."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from ..core.errors import ProjectError, TrainingError
from ..vertex.client.connection import Connection
from ..vertex.labels import RUN_LABEL
from ..vertex.submit.cancellation import cancel
from ..vertex.submit.live_jobs import LabelledJob, live_jobs

UNKNOWN = "unknown"
"""Said of a run that this Prefect server does not have: it may be another server's."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A live job without a live run.

    Attributes:
        job: The job.
        run: The flow run's id, as the job's label says.
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
        ProjectError: Prefect's server gives no answer: then no job is judged.
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


def end_orphan(connection: Connection, orphan: Orphan, *, wait: float = 120.0) -> bool:
    """Cancels the job of an orphan and sees it end; False when its run has come to life meanwhile.

    Raises:
        ProjectError: Prefect's server gives no answer: then the job is left alone.
        VertexError: The job can't be cancelled, or lives on after `wait` seconds.
    """
    with get_client(sync_client=True) as client:
        if _ending(client, orphan.run) is None:
            return False
    cancel(connection, orphan.job.name, wait=wait)
    return True


def _ending(client: SyncPrefectClient, run: str) -> str | None:
    """How a run ended; None for one that may still go on."""
    try:
        state = client.read_flow_run(UUID(run)).state
    except (ObjectNotFound, ValueError):  # a label that is no run's id was not set by a run of ours
        return UNKNOWN
    except TrainingError:
        raise
    except Exception as error:
        raise ProjectError(
            f"Prefect's server can't say whether run {run} goes on",
            where=str(client.api_url),
            next_step="Try again when it answers: no job was touched",
        ) from error
    return state.type.value if state is not None and state.is_final() else None
