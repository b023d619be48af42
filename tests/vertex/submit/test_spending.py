"""The cap on a run's cost is in each job itself, whoever creates it, and whatever was spent before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from fixtures.google.scripted_vertex import Clock, TinyVertex
from google.cloud.aiplatform_v1 import CustomJob, HyperparameterTuningJob, JobState, Trial
from google.rpc.status_pb2 import Status
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest, SubmittedJob
from prefect_vertex_training.vertex.labels import RUN_LABEL
from prefect_vertex_training.vertex.pricing.cost_labels import cost_labels
from prefect_vertex_training.vertex.pricing.hourly_rate import HourlyRate
from prefect_vertex_training.vertex.submit.attempts import submit_attempt
from prefect_vertex_training.vertex.submit.intent import IntentFile
from prefect_vertex_training.vertex.submit.spending import billed

STOCK_OUT = Status(code=8, message="Resources are insufficient in region: x1.")
RATE = HourlyRate(36.0, (), "built-in table of 2026-11-29")  # a cent a second


class Submitter:
    """Submits jobs of one flow run, as a process that remembers nothing but its folder of intents."""

    def __init__(self, connection: Connection, request: JobRequest, clock: Clock, folder: Path) -> None:
        self.connection, self.request, self.clock, self.folder = connection, request, clock, folder

    def __call__(
        self, cap: float | None, *, run: str = "run-1", key: str = "t1", retry: int = 0, **changes: Any
    ) -> SubmittedJob:
        """Submits the attempt that is due, with a cap in USD."""
        return submit_attempt(
            self.connection,
            replace(self.request, labels={RUN_LABEL: run, **cost_labels(RATE, cap)}, **changes),
            key,
            allowed=3,
            retry=retry,
            intent=lambda own: IntentFile(self.folder, own),
            clock=self.clock,
            sleep=self.clock.sleep,
        )


@pytest.fixture
def submit(connection: Connection, request_: JobRequest, clock: Clock, tmp_path: Path) -> Submitter:
    """For one run."""
    return Submitter(connection, replace(request_, timeout=7200.0), clock, tmp_path / "intents")


def limit_of(job: CustomJob) -> float:
    """The job's own time limit in seconds."""
    return job.job_spec.scheduling.timeout.total_seconds()


def ran(job: CustomJob, clock: Clock, seconds: float, error: Status | None = STOCK_OUT) -> None:
    """The job ran that long until now, and failed."""
    job.start_time = datetime.fromtimestamp(clock() - seconds, UTC)
    job.end_time = datetime.fromtimestamp(clock(), UTC)
    job.state, job.error = JobState.JOB_STATE_FAILED, error


def test_a_job_gets_the_time_that_the_cap_pays_for(submit: Submitter, vertex: TinyVertex) -> None:
    """Divided by the starts that Vertex AI itself may make; without a cap, and below it, the limit is the project's."""
    submit(None, key="t1", run="run-1")
    submit(20.0, key="t2", run="run-2")
    submit(500.0, key="t3", run="run-3")
    submit(20.0, key="t4", run="run-4", restarts="job")

    assert [limit_of(job) for job in vertex.jobs()] == [7200, 2000, 7200, 222]


def test_what_earlier_attempts_spent_counts(submit: Submitter, vertex: TinyVertex, clock: Clock) -> None:
    """Also those of another image, after a person's retry; and a job that goes on counts with all it may cost."""
    submit(20.0)
    clock.sleep(600)
    ran(vertex.jobs()[0], clock, 500)
    submit(20.0)
    clock.sleep(600)
    ran(vertex.jobs()[1], clock, 300)
    submit(20.0, key="of-another-image", retry=1)
    assert [limit_of(job) for job in vertex.jobs()] == [2000, 1500, 1200]

    with pytest.raises(VertexError, match=r"max-cost is used up: 20\.00 of 20\.00 USD are spent") as refused:
        submit(20.0, key="of-a-third-image", retry=2)

    assert refused.value.kind == "cost_cap"
    assert len(vertex.jobs()) == 3


def test_a_job_that_exists_is_adopted_whatever_it_costs(submit: Submitter, vertex: TinyVertex, clock: Clock) -> None:
    """A run that is taken up again finds its job; a higher cap pays for another one."""
    first = submit(20.0)
    job = vertex.jobs()[0]
    job.start_time, job.state = datetime.fromtimestamp(clock(), UTC), JobState.JOB_STATE_RUNNING
    clock.sleep(2000)
    assert submit(20.0).name == first.name
    ran(job, clock, 2000, Status(code=3, message="The replica workerpool0-0 exited with a non-zero status of 1."))

    with pytest.raises(VertexError, match="Raise max-cost"):
        submit(20.0, retry=1)
    submit(30.0, retry=1)

    assert [limit_of(job) for job in vertex.jobs()] == [2000, 1000]


def test_a_tuning_job_is_billed_by_its_trials() -> None:
    """One that ended by the time of all of them; one that goes on may still come to as much as all to their limit."""
    times = [(100, 160), (110, 150), (0, 0)]
    trials = [
        Trial(start_time=datetime.fromtimestamp(begin, UTC), end_time=datetime.fromtimestamp(end, UTC))
        for begin, end in times
    ]
    spec = {"scheduling": {"timeout": timedelta(seconds=600), "disable_retries": True}}
    options: dict[str, Any] = {"labels": cost_labels(RATE, 9.0), "trial_job_spec": spec, "max_trial_count": 3}
    over = HyperparameterTuningJob(state=JobState.JOB_STATE_SUCCEEDED, trials=trials, **options)
    live = HyperparameterTuningJob(state=JobState.JOB_STATE_RUNNING, trials=trials, **options)

    assert billed(cast("CustomJob", over)).cost(1000.0) == pytest.approx(1.0)
    assert billed(cast("CustomJob", live)).most(1000.0) == pytest.approx(18.0)
