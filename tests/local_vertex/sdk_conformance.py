"""What Google's unmodified SDK must be able to do: the same checks for local_vertex and for the real service.

    python sdk_conformance.py '{"image": "python:3.12-slim", "init": {"project": "P", "location": "us-central1",
        "staging_bucket": "gs://B"}}'

prints one line a check, or a traceback. In `init`, `token` makes credentials of a local service's token.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from google.api_core.exceptions import NotFound
from google.cloud import aiplatform
from google.cloud.aiplatform_v1.types import JobState

SUCCEED = "print('hello')"
FAIL = "raise SystemExit(3)"
HANG = "import time; time.sleep(600)"


def init(*, token: str | None = None, **values: Any) -> None:
    """Points the SDK at a service."""
    if token:
        from google.oauth2.credentials import Credentials

        values["credentials"] = Credentials(token)
    aiplatform.init(**values)


def make(image: str, code: str, **fields: Any) -> aiplatform.CustomJob:
    """A job of one replica that runs a line of Python."""
    container = {"image_uri": image, "command": ["python3", "-c", code]}
    pool = {"replica_count": 1, "machine_spec": {"machine_type": "n1-standard-4"}, "container_spec": container}
    return aiplatform.CustomJob(display_name="conformance", worker_pool_specs=[pool], **fields)


def wait(job: aiplatform.CustomJob) -> None:
    """Waits for the end of a job; the SDK raises an exception unless it succeeded."""
    with suppress(RuntimeError):
        job._block_until_complete()


@contextmanager
def deleted(job: aiplatform.CustomJob) -> Iterator[aiplatform.CustomJob]:
    """Deletes the job of a check."""
    yield job
    job.delete()


def run_returns_when_the_job_succeeded(image: str) -> None:
    """A blocking run returns when the job has ended."""
    with deleted(make(image, SUCCEED)) as job:
        job.run(timeout=3600, restart_job_on_worker_restart=True)
        assert job.state == JobState.JOB_STATE_SUCCEEDED
        assert job.error is None or job.error.message == ""
        assert job.start_time is not None
        assert job.end_time is not None


def run_raises_when_the_job_failed(image: str) -> None:
    """The exception has the service's error text."""
    with deleted(make(image, FAIL)) as job:
        with pytest.raises(RuntimeError, match="workerpool0-0"):
            job.run()
        assert job.state == JobState.JOB_STATE_FAILED
        assert job.error.code == 3


def a_submitted_job_is_found_by_label_and_name(image: str) -> None:
    """Jobs are found by label, in order, and by name or id."""
    key = uuid.uuid4().hex
    jobs = [make(image, SUCCEED, labels={"key": key}) for _ in range(2)]
    for job in jobs:
        job.submit()
    listed = aiplatform.CustomJob.list(filter=f"labels.key={key}", order_by="create_time desc")
    assert [job.resource_name for job in listed] == [job.resource_name for job in reversed(jobs)]
    assert aiplatform.CustomJob.get(jobs[0].resource_name).display_name == "conformance"
    assert aiplatform.CustomJob.get(jobs[0].name).labels == {"key": key}
    for job in jobs:
        wait(job)
        job.delete()


def a_cancelled_job_ends_cancelled(image: str) -> None:
    """The job's error code is CANCELLED."""
    with deleted(make(image, HANG)) as job:
        job.submit(disable_retries=True, scheduling_strategy=4)
        job.cancel()
        wait(job)
        assert job.state == JobState.JOB_STATE_CANCELLED
        assert job.error.code == 1


def a_deleted_job_is_gone(image: str) -> None:
    """A deleted job is NotFound."""
    job = make(image, SUCCEED)
    job.run()
    name = job.resource_name
    job.delete()
    with pytest.raises(NotFound):
        aiplatform.CustomJob.get(name)


CHECKS: list[Callable[[str], None]] = [
    run_returns_when_the_job_succeeded,
    run_raises_when_the_job_failed,
    a_submitted_job_is_found_by_label_and_name,
    a_cancelled_job_ends_cancelled,
    a_deleted_job_is_gone,
]

if __name__ == "__main__":
    chosen = json.loads(sys.argv[1])
    # Seconds between two looks at a job that runs: 5 in the SDK.
    aiplatform.jobs._JOB_WAIT_TIME = chosen.get("poll", 5)
    init(**chosen["init"])
    for check in CHECKS:
        check(chosen["image"])
        print("passed", check.__name__, flush=True)
