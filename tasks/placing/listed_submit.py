"""Step 5, first part, for a run with a fall-back list: finds or creates the job that counts, over all its regions."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from ...core.errors import VertexError
from ...core.home import Home
from ...vertex.client.connection import Connection
from ...vertex.fallback.create_record import CreateFile
from ...vertex.fallback.driver import Driver
from ...vertex.fallback.job_regions import JobRegions
from ...vertex.fallback.listed_job import ListedJob
from ...vertex.fallback.request_view import Limits
from ...vertex.fallback.tries import Place, rows
from ...vertex.job_types import SubmittedJob
from ...vertex.submit.intent import intent_text
from ..reporting.artifacts import artifact_key, optional_display
from ..reporting.events import SUBMITTED, job_event
from ..reporting.failure_page import report_refusal
from ..reporting.job_page import report_job
from ..reporting.step_log import step_log
from ..retry_policy import STEP
from ..step_results import step_result
from ..stopping import run_end
from ..stopping.open_jobs import OpenJobs
from ..stopping.run_places import note_places
from ..stopping.stop_job import stop_in_all, stop_request


class ListedRequest(ListedJob):
    """A request with its list, as the steps of a run use it.

    This is not a dataclass because Prefect searches dataclasses among a task's inputs for results of other tasks.

    Args:
        regions: The regions.
        key: The request's key.
        limits: The list, and the budgets.
        places: The entries for people.
        retry: How often a person has retried the run.
        ignored: Regions that are left out.

    Attributes:
        entry: Index of the place of the job that was found last.
    """

    def __init__(
        self,
        regions: JobRegions,
        key: str,
        limits: Limits,
        places: Sequence[Place],
        *,
        retry: int = 0,
        ignored: frozenset[str] = frozenset(),
    ) -> None:
        record = CreateFile(Home.default().cache / "intents", key)
        log = step_log("submit")
        super().__init__(regions, record, limits, retry=retry, ignored=ignored, notice=log, sleep=run_end.sleep)
        self.key = key
        self.places = places
        self.entry = 0

    def show(self, driver: Driver) -> None:
        """Writes the table of what was tried."""
        with optional_display():
            table = rows(self.places, driver.view())
            create_table_artifact(table, key=artifact_key("places"), description="Where the job was tried, in order")


@task(name="submit", cache_policy=NO_CACHE, result_serializer=step_result("vertex.job_types.SubmittedJob", 2), **STEP)
def submit_listed(listed: ListedRequest) -> SubmittedJob:
    """Creates the job at the place of the list that is due, or finds the one that counts, in whichever region it is.

    Raises:
        VertexError: No place had machines, or a request was refused.
        VertexUnavailable: Transient: a region that may have the job gives no answer.
    """
    log, noted = step_log("submit"), OpenJobs.of_this_run()
    connections = listed.regions.connections
    note_places(str(flow_run.id or "no-run"), [(each.region, each.bucket) for each in connections.values()])
    noted.add(listed.key)
    driver = listed.driver()
    before = set(listed.memory.known) | {job.name for job in driver.view().jobs}
    try:
        found = driver.place()
    except VertexError as error:
        listed.show(driver)
        if not error.transient:
            noted.stopped(listed.key)
            report_refusal(error)
        raise
    except Exception:
        raise
    except BaseException:
        if stop_in_all(list(connections.values()), lambda connection: _stop(connection, listed)):
            noted.stopped(listed.key)
        raise
    known = found.job.name in before
    job = listed.regions.submitted(found, known=known)
    noted.rename(listed.key, job.name)
    listed.entry = min(found.job.position.entry, len(listed.places) - 1)
    place, number = listed.places[listed.entry], f"place {listed.entry + 1} of {len(listed.places)}"
    log(f"{'found' if known else 'created'} {job.name}, attempt {job.attempt}, {number}: {place}")
    request = listed.regions.request_of(listed.entry)
    if not known:
        job_event(SUBMITTED, job.name, image=request.image, machine=request.machine.machine_type, output=request.output)
    if job.console:
        log(job.console)
    report_job(connections[found.job.region], job.name, request)
    listed.show(driver)
    return job


def _stop(connection: Connection, listed: ListedRequest) -> bool:
    """Cancels the jobs of the request in one region, also one whose create got no answer."""
    key = listed.key
    sent = [create.at for create in listed.record.creates() if create.region in {"", connection.region}]
    return stop_request(connection, key, intent_text(key, max(sent)) if sent else None)
