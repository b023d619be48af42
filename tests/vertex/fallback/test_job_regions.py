"""Jobs of Google's API as the rules see them, and refusals that are no reason to go to another region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from fixtures.google.scripted_vertex import EPOCH, Clock, Fate, TinyVertex
from google.cloud.aiplatform_v1 import CustomJob, JobState
from google.rpc.status_pb2 import Status
from prefect_vertex_training.core.errors import VertexError, VertexUnavailable
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.fallback.create_record import CreateFile
from prefect_vertex_training.vertex.fallback.driver import Driver, Pace
from prefect_vertex_training.vertex.fallback.job_regions import JobRegions, try_job
from prefect_vertex_training.vertex.fallback.request_view import Create, Limits, Spot
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.labels import ENTRY_LABEL

QUOTA = "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus"
RATE = "Quota exceeded for quota metric 'Create requests' and limit 'Create requests per minute' of service 'a'"
Place = Callable[[], Driver]


@pytest.fixture
def place(connection: Connection, request_: JobRequest, clock: Clock, tmp_path: Path) -> Place:
    """A driver of two places in one region, as a process that remembers nothing but its folder of intents."""

    def make() -> Driver:
        regions = JobRegions({"here": connection}, "t1", lambda _: request_, ["here", "here"], clock=clock)
        limits = Limits([Spot("here", 600), Spot("here", 600)], settle=connection.settle)
        record = CreateFile(tmp_path, "t1")
        return Driver(regions, record, limits, Pace(5, 600), clock=clock, sleep=clock.sleep)

    return make


def test_a_quota_moves_on_and_the_label_says_where(place: Place, vertex: TinyVertex) -> None:
    """The first create is refused for machines; the job of the second place is found again by another process."""
    vertex.fates = [Fate(made=False, code=grpc.StatusCode.RESOURCE_EXHAUSTED, text=QUOTA)]
    found, again = place().place(), place().place()

    (job,) = vertex.jobs()
    assert (found.job.name, again.job.name) == (job.name, job.name)
    assert job.labels[ENTRY_LABEL] == "2"


def test_a_quota_of_calls_is_no_reason_to_move_on(place: Place, vertex: TinyVertex) -> None:
    """It refills within a minute: the call ends with a transient error, and nothing is tried elsewhere."""
    vertex.fates = [Fate(made=False, code=grpc.StatusCode.RESOURCE_EXHAUSTED, text=RATE)]
    with pytest.raises(VertexUnavailable):
        place().place()

    assert vertex.calls.count("create") == 1


def test_a_refusal_that_the_user_must_fix_ends_at_once(place: Place, vertex: TinyVertex, tmp_path: Path) -> None:
    """No other place is tried, and no create is waited for later."""
    vertex.fates = [Fate(made=False, code=grpc.StatusCode.INVALID_ARGUMENT, text="no such machine")]
    with pytest.raises(VertexError, match="no such machine"):
        place().place()

    assert vertex.calls.count("create") == 1
    assert CreateFile(tmp_path, "t1").creates() == []


def test_a_lost_create_is_found_and_not_repeated(place: Place, vertex: TinyVertex) -> None:
    """Its answer is lost, and lists show it half a settle window later: still one job."""
    vertex.fates = [Fate(code=grpc.StatusCode.UNAVAILABLE, lag=20)]
    found = place().place()

    assert [job.name for job in vertex.jobs()] == [found.job.name]


def test_a_silent_region_holds_everything(place: Place, vertex: TinyVertex) -> None:
    """The error names the region and the option; nothing was created."""
    vertex.refusals["list"] = [grpc.StatusCode.UNAVAILABLE] * 1000
    with pytest.raises(VertexUnavailable, match=r"here gives no answer .*--ignore-region here"):
        place().place()

    assert vertex.jobs() == []


JOB = CustomJob(name="projects/1/locations/europe-west4/customJobs/7", create_time=datetime.fromtimestamp(EPOCH, UTC))
LATER = datetime.fromtimestamp(EPOCH + 60, UTC)
STOCK_OUT = Status(code=8, message="Resources are insufficient in region: europe-west4.")


@pytest.mark.parametrize(
    ("state", "error", "started", "expected"),
    [
        (JobState.JOB_STATE_PENDING, None, False, ("waiting", None)),
        (JobState.JOB_STATE_PENDING, None, True, ("waiting", None)),
        (JobState.JOB_STATE_RUNNING, None, True, ("running", None)),
        (JobState.JOB_STATE_CANCELLING, None, True, ("ending", None)),
        (JobState.JOB_STATE_SUCCEEDED, None, True, ("ended", "succeeded")),
        (JobState.JOB_STATE_CANCELLED, None, True, ("ended", "cancelled")),
        (JobState.JOB_STATE_EXPIRED, None, False, ("ended", "expired")),
        (JobState.JOB_STATE_EXPIRED, None, True, ("ended", "final")),
        (JobState.JOB_STATE_FAILED, STOCK_OUT, False, ("ended", "stock_out")),
        (JobState.JOB_STATE_FAILED, Status(code=8, message=QUOTA), False, ("ended", "quota")),
        (JobState.JOB_STATE_FAILED, Status(code=8, message="Replicas low on memory: w."), True, ("ended", "final")),
        (JobState.JOB_STATE_FAILED, Status(code=14, message="w was preempted."), True, ("ended", "platform")),
        (JobState.JOB_STATE_FAILED, Status(code=3, message="non-zero status of 1."), True, ("ended", "final")),
    ],
)
def test_states_and_errors_as_the_rules_see_them(
    state: JobState, error: Status | None, started: bool, expected: tuple[str, str | None]
) -> None:
    """Only a stock-out, a quota and an expired wait are want of machines."""
    job = CustomJob(JOB, state=state, error=error, start_time=LATER if started else None, end_time=LATER)
    seen = try_job(job)

    assert (seen.phase, seen.ending) == expected
    assert seen.region == "europe-west4"
    assert seen.started == (started and state not in {JobState.JOB_STATE_CANCELLING, JobState.JOB_STATE_CANCELLED})


def test_a_damaged_record_counts_as_a_create_of_now(tmp_path: Path) -> None:
    """That is safe, and costs one settle window; the next write replaces it."""
    record = CreateFile(tmp_path, "t1")
    record.add(Create("k", "here", 5.0))
    assert record.creates() == [Create("k", "here", 5.0)]
    (tmp_path / "t1.list.json").write_text("{")
    (damaged,) = record.creates()

    assert damaged.at == (tmp_path / "t1.list.json").stat().st_mtime
    record.remove(replace(damaged))
    assert record.creates() == []
