"""Runs that end without being cancelled: their job ends too, or the run's log says at error level that it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.images.script_image import script_image
from prefect import flow
from prefect.runtime import flow_run
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.tasks.stopping.open_jobs import OpenJobs
from prefect_vertex_training.tasks.stopping.stop_job import job_ends_with_run
from prefect_vertex_training.tasks.submit import submit
from prefect_vertex_training.tasks.watch import watch
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.submit.cancellation import cancel
from prefect_vertex_training.vertex.submit.submission import job_key

pytestmark = pytest.mark.prefect

IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


@pytest.fixture
def long_job(home: Home, project: Path) -> Callable[..., JobRequest]:
    """A job that runs a command in the project's image."""
    script = project / "train.py"
    image = script_image(script, home.images, home.cache)
    return lambda *command: JobRequest(display_name="long", image=image, output="gs://local/out", command=command)


def state_of_only_job(connection: Connection) -> str:
    """The state of the service's only job, without the common prefix."""
    (job,) = connection.jobs.list_custom_jobs(parent=connection.parent)
    return job.state.name.removeprefix("JOB_STATE_")


@pytest.fixture
def limited(home: Home, long_job: Callable[..., JobRequest]) -> Callable[..., str]:
    """Runs a job's flow whose watch has a time limit; the job's state afterwards."""
    connection = Connection.local(home)

    def run(*command: str) -> str:
        @flow(name="limited")
        def limited_flow() -> None:
            job = submit(connection, long_job(*command), job_key(str(flow_run.id)))
            watch.with_options(timeout_seconds=5, retries=0)(connection, job)

        with pytest.raises(TimeoutError):
            limited_flow()
        return state_of_only_job(connection)

    return run


def test_a_run_that_ends_between_two_steps_ends_its_job(home: Home, long_job: Callable[..., JobRequest]) -> None:
    """By its own process, once the job is created and before it is watched; then the hook has nothing to do."""
    connection, runs = Connection.local(home), []

    @flow(name="ended early")
    def ended_early() -> None:
        runs.append(str(flow_run.id))
        key = job_key(runs[0])
        with job_ends_with_run([connection], key):
            submit(connection, long_job("sleep", "600"), key)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ended_early()

    assert state_of_only_job(connection) in {"CANCELLING", "CANCELLED"}
    assert OpenJobs(runs[0]).take_none_left()


def test_a_run_with_a_list_ends_its_jobs_in_every_region(home: Home, long_job: Callable[..., JobRequest]) -> None:
    """One beside the job that was watched, as a create makes it whose answer was lost and that is carried out late."""
    lifecycle.ensure_running(home, regions=("europe-west4",))
    connections = [Connection.local(home), Connection.local(home, region="europe-west4")]

    @flow(name="ended with a list")
    def ended_with_a_list() -> None:
        key = job_key(str(flow_run.id))
        with job_ends_with_run(connections, key):
            jobs = [submit(each, long_job("sleep", "600"), key) for each in connections]
            cancel(connections[1], jobs[1].name)
            for job in jobs:
                OpenJobs.of_this_run().stopped(job.name)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ended_with_a_list()

    assert state_of_only_job(connections[0]) in {"CANCELLING", "CANCELLED"}


def test_a_time_limit_ends_the_job(limited: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    """The run fails with its time limit, and before that its job has ended, confirmed in the log."""
    with caplog.at_level(logging.INFO, "prefect"):
        state = limited("sleep", "600")

    assert state == "CANCELLED"
    assert "has ended: JOB_STATE_CANCELLED" in caplog.text


def test_a_job_that_does_not_end_at_once_is_said(limited: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    """With the job's name and what to type: a job that ignores its end goes on costing."""
    with caplog.at_level(logging.INFO, "prefect"):
        limited("python3", "-c", IGNORES_SIGTERM)

    (warning,) = [
        record.getMessage()
        for record in caplog.records
        if "warning" in record.getMessage() and "cost" in record.getMessage()
    ]
    assert "/customJobs/" in warning
    assert "still JOB_STATE_CANCELLING" in warning
    assert "vertex-training orphans --cancel" in warning
