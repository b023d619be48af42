"""Whose retry pays for a new job: a person's does, and nothing that happens by itself, on a real Prefect server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from fixtures.google.scripted_vertex import TinyVertex, Wire, serve
from google.cloud.aiplatform_v1 import JobState
from google.rpc.status_pb2 import Status
from prefect import flow, settings, task
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.flows import Flow
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run as current_run
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.run_history import run_scope
from prefect_vertex_training.tasks.reporting.logged_lines import lines_of_run
from prefect_vertex_training.tasks.submit import submit
from prefect_vertex_training.tasks.watch import watch
from prefect_vertex_training.vertex.client.connection import LOCAL, Connection
from prefect_vertex_training.vertex.client.endpoints import LocalEndpoint
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.submit.submission import job_key

pytestmark = pytest.mark.prefect

IMAGE = f"europe-docker.pkg.dev/p/r/tiny@sha256:{'a' * 64}"
USER_CODE = Status(code=3, message="The replica workerpool0-0 exited with a non-zero status of 1.")
STOCK_OUT = Status(code=8, message="Resources are insufficient in region: x1.")
# The same flow from a file of its own, for the command.
ENTRYPOINT = """\
import os, time
from prefect import flow
from prefect_vertex_training.tasks.submit import submit
from prefect_vertex_training.vertex.client.connection import LOCAL, Connection
from prefect_vertex_training.vertex.client.endpoints import LocalEndpoint
from prefect_vertex_training.vertex.job_types import JobRequest

@flow(name="one job")
def one_job():
    place = LocalEndpoint("p", "x1", "models", os.environ["TARGET"], None)
    request = JobRequest(display_name="tiny", image=os.environ["IMAGE"], output="gs://models/tiny")
    submit(Connection(lambda: place, LOCAL), request, "t-" + os.environ["KEY"])
"""


class Service:
    """The scripted service, and how its next jobs end."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.endings: list[Status | None] = []
        place = LocalEndpoint("p", "x1", "models", wire.target, None)
        self.connection = Connection(lambda: place, LOCAL)

    @property
    def jobs(self) -> int:
        """How many jobs were ever created."""
        return len(self.wire.behind().jobs())

    def train(self, key: str, allowed: int = 1) -> None:
        """Submits a job and watches it to its end, as step 5 does."""
        request = JobRequest(display_name="tiny", image=IMAGE, output="gs://models/tiny")
        job = submit(self.connection, request, key, allowed=allowed)
        made = next(found for found in self.wire.behind().jobs() if found.name == job.name)
        if not job.adopted:
            error = self.endings.pop(0) if self.endings else None
            made.state = JobState.JOB_STATE_FAILED if error else JobState.JOB_STATE_SUCCEEDED
            made.error = error
        watch(self.connection, job)


@pytest.fixture
def service(home: Home, tmp_path: Path) -> Iterator[Service]:
    """An empty service in real time."""
    with serve(f"unix:{tmp_path}/wire") as wire:
        wire.vertex = TinyVertex(time.time)
        yield Service(wire)


def begin(wanted: Flow[..., None]) -> UUID:
    """Executes a new run of a flow to its end; returns its id."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(wanted)
    again(wanted, run.id)
    return run.id


def again(wanted: Flow[..., None], run: UUID) -> str:
    """Executes a run as a worker does; returns the name of its last state."""
    with get_client(sync_client=True) as client:
        run_flow(wanted, flow_run=client.read_flow_run(run), return_type="state")
        return str(client.read_flow_run(run).state_name)


def set_state(run: UUID, kind: str, name: str, *, force: bool = True) -> None:
    """The request that Prefect's UI sends."""
    with get_client(sync_client=True) as client:
        body = {"state": {"type": kind, "name": name, "message": "from the UI"}, "force": force}
        client.request("POST", f"/flow_runs/{run}/set_state", json=body).raise_for_status()


def said(run: UUID) -> str:
    """The run's log."""
    APILogHandler().flush()  # it was executed in this process
    return "\n".join(lines_of_run(run))


def test_a_persons_retry_makes_a_new_job_and_a_retaken_run_does_not(service: Service) -> None:
    """Automatic retry: the failed job. Retry in the UI: a new one, and the same one once its process was lost."""

    @flow(retries=1)
    def training() -> None:
        service.train(job_key(str(current_run.id)))

    service.endings = [USER_CODE, USER_CODE, None]
    run = begin(training)
    assert service.jobs == 1  # Prefect has retried the flow once
    assert "no automatic retry pays for another one" in said(run)

    set_state(run, "SCHEDULED", "AwaitingRetry")
    assert again(training, run) == "Failed"
    assert service.jobs == 2
    assert "retried by a person: a new job, after 1 failed that this request has paid for" in said(run)

    set_state(run, "RUNNING", "Running")  # as a run whose process was lost is, when a worker takes it up again
    assert again(training, run) == "Failed"
    assert service.jobs == 2

    set_state(run, "SCHEDULED", "Scheduled")  # as the API and `prefect flow-run retry` set it
    assert again(training, run) == "Completed"
    assert service.jobs == 3

    set_state(run, "SCHEDULED", "AwaitingRetry")
    assert again(training, run) == "Completed"
    assert service.jobs == 3  # one that succeeded is the answer


def test_retry_after_a_cancel_and_with_a_used_up_budget(service: Service) -> None:
    """A cancelled run gets a new job; one that has used up its attempts gets one more start."""

    @flow
    def training() -> None:
        service.train(job_key(str(current_run.id)), allowed=2)

    service.endings = [STOCK_OUT] * 9
    run = begin(training)
    set_state(run, "RUNNING", "Running")
    again(training, run)
    set_state(run, "RUNNING", "Running")
    again(training, run)
    assert service.jobs == 2  # the budget

    set_state(run, "CANCELLED", "Cancelled")
    set_state(run, "SCHEDULED", "AwaitingRetry")
    again(training, run)
    assert service.jobs == 3
    assert "after 2 failed that this request has paid for" in said(run)


def test_the_commands_retry_makes_a_new_job(service: Service, forked: list[str], tmp_path: Path) -> None:
    """`prefect flow-run retry` with an entrypoint, which executes the run itself."""

    @flow(name="one job")
    def training() -> None:
        service.train("t-retried")

    service.endings = [USER_CODE]
    run = begin(training)
    (tmp_path / "flow.py").write_text(ENTRYPOINT)
    env = {"TARGET": service.wire.target, "IMAGE": IMAGE, "KEY": "retried"}
    command = [*forked, "prefect", "", "flow-run", "retry", str(run)]
    subprocess.run(
        [*command, "--entrypoint", f"{tmp_path}/flow.py:one_job"],
        env={**os.environ, **env, "PREFECT_API_URL": str(settings.PREFECT_API_URL.value())},
        check=True,
        capture_output=True,
    )

    assert service.jobs == 2
    assert "retried by a person: a new job, after 1 failed" in said(run)


def test_a_flow_that_other_flows_call_is_not_paid_for_twice(service: Service) -> None:
    """The outer flow's automatic retry calls it in a run with a new id: jobs are found again, each call's own."""
    calls: list[str] = []

    @flow(name="inner")
    def inner(words: str) -> None:
        scope = run_scope(words)
        calls.append(scope.key)
        service.train(job_key(scope.key))

    @task
    def around(words: str) -> None:
        inner(words)

    @flow(retries=1)
    def outer() -> None:
        inner("same")
        inner("same")
        around("same")
        inner("fails")

    service.endings = [None, None, None, USER_CODE, None]
    run = begin(outer)

    assert service.jobs == 4
    assert (len(calls), len(set(calls))) == (8, 4)
    set_state(run, "SCHEDULED", "AwaitingRetry")
    assert again(outer, run) == "Completed"
    assert service.jobs == 5
