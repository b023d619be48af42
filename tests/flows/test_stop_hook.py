"""Runs that end without being cancelled: their job ends too, or the run's log says at error level that it does not."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow
from prefect.runtime import flow_run
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.images.build import build
from prefect_vertex_training.images.oci.image_types import ImageRequest
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.project.files.project_file import ProjectFile
from prefect_vertex_training.tasks.submit import submit
from prefect_vertex_training.tasks.watch import watch
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.submit.submission import job_key

pytestmark = pytest.mark.prefect

IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


@pytest.fixture
def limited(home: Home, project: Path) -> Callable[..., str]:
    """Runs a job's flow whose watch has a time limit; the job's state afterwards."""
    script = project / "train.py"
    wanted = ImageRequest(
        name="tiny",
        root=project,
        files=[ProjectFile("train.py", script, script.stat().st_size, executable=False)],
        script="train.py",
        lock="",
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        fingerprint="0" * 64,
    )
    image = build(wanted, OciLayout(home.images, "tiny"), cache=home.cache).reference
    connection = Connection.local(home)

    def run(*command: str) -> str:
        @flow(name="limited")
        def limited_flow() -> None:
            request = JobRequest(display_name="long", image=image, output="gs://local/out", command=command)
            job = submit(connection, request, job_key(str(flow_run.id)))
            watch.with_options(timeout_seconds=5, retries=0)(connection, job)

        with pytest.raises(TimeoutError):
            limited_flow()
        (job,) = connection.jobs.list_custom_jobs(parent=connection.parent)
        return job.state.name.removeprefix("JOB_STATE_")

    return run


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
