"""What a watched run has cost, and how it ends at its cap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from fixtures.google.scripted_vertex import Clock, TinyVertex
from google.cloud.aiplatform_v1 import CustomJob, JobState
from google.protobuf.duration_pb2 import Duration
from google.rpc.status_pb2 import Status
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import Outcome
from prefect_vertex_training.vertex.labels import RUN_LABEL
from prefect_vertex_training.vertex.pricing.cost_labels import cost_labels
from prefect_vertex_training.vertex.pricing.hourly_rate import HourlyRate
from prefect_vertex_training.vertex.watch.running_cost import CostSoFar
from prefect_vertex_training.vertex.watch.watch import watch

CENT_A_SECOND = HourlyRate(36.0, (), "built-in table of 2026-11-29")


def at(seconds: float) -> datetime:
    """A time as the service writes it."""
    return datetime.fromtimestamp(seconds, UTC)


class Watched:
    """Jobs of one run, and what a watch of the newest one tells."""

    def __init__(self, connection: Connection, vertex: TinyVertex, clock: Clock) -> None:
        self.connection, self.vertex, self.clock = connection, vertex, clock
        self.costs: list[CostSoFar] = []
        self.states: list[str] = []

    def add(self, cap: float | None, state: JobState = JobState.JOB_STATE_PENDING) -> CustomJob:
        """Another job of the run."""
        job = self.vertex.add(state=state)
        job.labels = {RUN_LABEL: "run-1", **cost_labels(CENT_A_SECOND, cap)}
        return job

    def watch(self, job: CustomJob) -> Outcome:
        """Follows it to its end."""
        return watch(
            self.connection,
            job.name,
            on_state=self.states.append,
            on_lines=lambda _: None,
            on_cost=self.costs.append,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def after(self, *steps: tuple[float, Callable[[], None]]) -> None:
        """Does something once the clock has moved that many seconds."""
        begin, left = self.clock(), list(steps)

        def advance() -> None:
            while left and self.clock() >= begin + left[0][0]:
                left.pop(0)[1]()

        self.clock.on_sleep = advance


@pytest.fixture
def watched(connection: Connection, vertex: TinyVertex, clock: Clock) -> Watched:
    """A run without a job."""
    return Watched(connection, vertex, clock)


def runs(job: CustomJob, clock: Clock) -> Callable[[], None]:
    """The job gets its machines."""

    def begin() -> None:
        job.state, job.start_time = JobState.JOB_STATE_RUNNING, at(clock())

    return begin


def ends(job: CustomJob, clock: Clock) -> Callable[[], None]:
    """The job succeeds."""

    def succeed() -> None:
        job.state, job.end_time = JobState.JOB_STATE_SUCCEEDED, at(clock())

    return succeed


def test_waiting_is_an_upper_bound_and_running_is_billed(watched: Watched, clock: Clock) -> None:
    """Before the machines are there, nobody knows whether they are paid; then it counts from their start."""
    job = watched.add(None)
    watched.after((100, runs(job, clock)), (200, ends(job, clock)))

    assert watched.watch(job).state == "JOB_STATE_SUCCEEDED"

    waiting = [cost for cost in watched.costs if not cost.sure]
    assert str(waiting[-1]).startswith("at most 0.9")
    assert next(cost.usd for cost in watched.costs if cost.sure) == 0
    assert watched.costs[-1].usd == pytest.approx(1.0, abs=0.11)


def test_the_line_of_the_service_counts_before_the_state_does(
    watched: Watched, vertex: TinyVertex, clock: Clock
) -> None:
    """`Job is running.` stands in the log up to minutes before the job has a start time."""
    job = watched.add(None)
    own = job.name.rpartition("/")[2]
    watched.after(
        (50, lambda: vertex.say("Job is running.", job=own, task="service")),
        (150, ends(job, clock)),
    )

    watched.watch(job)

    assert any(cost.sure and 0.3 < cost.usd < 1.1 for cost in watched.costs)


def test_the_job_is_cancelled_at_the_cap(watched: Watched, vertex: TinyVertex, clock: Clock) -> None:
    """What earlier jobs cost counts; the end is confirmed, named, and no reason for another attempt."""
    earlier = watched.add(20.0, JobState.JOB_STATE_FAILED)
    earlier.start_time, earlier.end_time = at(clock() - 1500), at(clock() - 500)
    job = watched.add(20.0)
    watched.after((60, runs(job, clock)))

    outcome = watched.watch(job)

    assert outcome.state == "JOB_STATE_CANCELLED"
    assert vertex.calls.count("cancel") == 1
    assert outcome.diagnosis is not None
    assert (outcome.diagnosis.kind, outcome.diagnosis.retryable) == ("cost_cap", False)
    assert "stopped at max-cost: this run cost 20.0" in outcome.diagnosis.sentence
    assert max(cost.usd for cost in watched.costs) <= 20.0 + 0.01 * 5 + 1e-6  # one poll


def test_a_cancel_without_an_answer_is_sent_again(watched: Watched, vertex: TinyVertex, clock: Clock) -> None:
    """The cap is not given up for a call that got lost."""
    job = watched.add(1.0)
    runs(job, clock)()
    vertex.refusals = {"cancel": [grpc.StatusCode.UNAVAILABLE] * 3}

    outcome = watched.watch(job)

    assert outcome.diagnosis is not None
    assert outcome.diagnosis.kind == "cost_cap"


@pytest.mark.parametrize(("limit", "kind"), [(100, "cost_cap"), (50, "time_limit")])
def test_the_time_limit_that_the_cap_allowed_is_named_as_the_cap(
    watched: Watched, clock: Clock, limit: int, kind: str
) -> None:
    """A time limit of the project's own stays one."""
    job = watched.add(1.0)
    runs(job, clock)()
    job.job_spec.scheduling.timeout = Duration(seconds=limit)
    job.job_spec.scheduling.disable_retries = True

    def expire() -> None:
        job.state, job.end_time = JobState.JOB_STATE_FAILED, job.start_time + timedelta(seconds=limit)
        job.error = Status(code=4, message="The job exceeded its time limit.")

    watched.after((limit - 5, expire))
    outcome = watched.watch(job)

    assert outcome.diagnosis is not None
    assert outcome.diagnosis.kind == kind


def test_a_job_without_a_price_has_no_cost(watched: Watched, vertex: TinyVertex, clock: Clock) -> None:
    """Unknown is not 0: nothing is told."""
    job = vertex.add(state=JobState.JOB_STATE_RUNNING)
    watched.after((10, ends(job, clock)))

    watched.watch(job)

    assert watched.costs == []
