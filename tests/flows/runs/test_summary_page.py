"""What a run shows in Prefect, whom it tells, and for whom it waits: read back from a real server."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fixtures.prefect_api.worker import Worker, automation, events, log, until
from google.auth.credentials import AnonymousCredentials
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.concurrency.sync import concurrency
from prefect.flow_engine import run_flow
from prefect_vertex_training.core.errors import JobFailed, VerifyError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.concurrency import submission_turn
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.tasks.receipt import page
from prefect_vertex_training.tasks.reporting.artifacts import artifacts_of
from prefect_vertex_training.tasks.reporting.events import model_event
from prefect_vertex_training.tasks.reporting.log_records import LogRecords
from prefect_vertex_training.tasks.reporting.progress import Progress, shown
from prefect_vertex_training.tasks.reporting.training_log import TrainingLog
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import LogLine, Metric, ModelFile, Receipt

pytestmark = pytest.mark.prefect

EPOCHS = """\
import json
for epoch in range(1, 6):
    print(json.dumps({"message": f"epoch {epoch}", "epoch": epoch, "epochs": 5, "loss": 1 / epoch, "accuracy": 0.9}))
"""

FAILS = """\
import os
if "CLOUD_ML_JOB_ID" in os.environ:
    raise ValueError("no data")
"""


def last_run() -> FlowRun:
    """The newest run of any flow that has begun; deployments have runs to come."""
    begun = {"state": {"type": {"not_any_": ["SCHEDULED", "PENDING"]}}}
    with get_client(sync_client=True) as client:
        wanted = {"sort": "START_TIME_DESC", "limit": 1, "flow_runs": begun}
        answer = client.request("POST", "/flow_runs/filter", json=wanted)
    return FlowRun.model_validate(answer.json()[0])


def artifacts(run: UUID) -> dict[str, Artifact]:
    """By their keys."""
    with get_client(sync_client=True) as client:
        mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        return {str(found.key): found for found in client.read_artifacts(artifact_filter=mine)}


def test_a_run_says_what_it_did(home: Home, project: Path) -> None:
    """Its name, its tags, its steps' names; a summary, the metrics and the model under the project's own keys."""
    subprocess.run(["git", "init", "-q", project], check=True)
    script = project / "train.py"
    script.write_text(EPOCHS + script.read_text())

    result = train(project)
    run = last_run()
    shown = artifacts(run.id)
    with get_client(sync_client=True) as client:
        steps = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
    connection = Connection.local(home)
    job = connection.jobs.get_custom_job(name=result.job)

    assert run.name.startswith("tiny @ ")
    assert run.name.endswith(" on this machine")
    assert {"tiny", "local"} <= set(run.tags)
    assert job.display_name.startswith(run.name)
    assert {step.name for step in steps} >= {"verify tiny", "build tiny", "watch tiny"}
    assert {"tiny-summary", "tiny-metrics", "tiny-model"} <= set(shown)
    summary = str(shown["tiny-summary"].data)
    assert "| watch | Completed |" in summary
    copied = re.sub(r"<wbr>|</code> <code>|\\", "", summary)
    assert result.image in copied
    assert result.job in copied
    metrics = str(shown["tiny-metrics"].data)
    assert "| loss | 0.2 | 0.2 | 1 | 5 |" in metrics
    assert "data:image/svg+xml;base64," in metrics
    assert result.metrics["loss"] == Metric(last=0.2, lowest=0.2, highest=1.0)
    assert "| loss | 0.2 | 0.2 | 1 |" in summary
    job = Connection.local(home).jobs.get_custom_job(name=result.job)
    assert result.duration == (job.end_time - job.start_time).total_seconds()  # whole seconds, as the service has them
    assert str(run.id) in result.links["run"]

    train(project)  # everything is Cached now
    again = str(artifacts(last_run().id)["tiny-summary"].data)
    for key in ("tiny-verify", "tiny-dependencies", "tiny-image-build"):
        assert f"artifacts/artifact/{shown[key].id})" in again
    assert f"runs/flow-run/{run.id})" in again


def test_a_name_that_a_person_gave_stays(home: Home, project: Path) -> None:
    """Only Prefect's made-up names are replaced."""
    train.with_options(flow_run_name="For the demo")(project)

    assert last_run().name == "For the demo"


def test_a_failed_run_has_a_summary_too(home: Home, project: Path) -> None:
    """The step that failed is its last row."""
    (project / "train.py").write_text("raise SystemExit(7)\n")
    with pytest.raises(VerifyError):
        train(project)

    assert "| verify | Failed |" in str(artifacts(last_run().id)["tiny-summary"].data)


@flow(name="faulty")
def faulty() -> None:
    """A fault of a program, no error that a user can act on."""
    raise ZeroDivisionError


def last_lines(run: UUID) -> list[str]:
    """The run's log, once its end is there."""

    def look() -> list[str] | None:
        lines = log(run)
        return lines if any("Flow run encountered" in line for line in lines) else None

    return until(look)


def test_an_expected_error_is_one_line_and_a_fault_keeps_its_traceback(home: Home, project: Path) -> None:
    """The line stands at the end of the run's log, and in its state."""
    (project / "train.py").write_text("raise SystemExit(7)\n")
    with pytest.raises(VerifyError):
        train(project)
    failed = last_run()
    with pytest.raises(ZeroDivisionError):
        faulty()

    lines = last_lines(failed.id)
    assert not [line for line in lines if "Traceback" in line or "\n" in line]
    assert [line for line in lines if "Flow run encountered" in line or "during execution" in line] == lines[-1:]
    assert "Fix the script and run again" in lines[-1]
    assert "Fix the script and run again" in str(failed.state and failed.state.message)
    assert any("Traceback" in line for line in last_lines(last_run().id))


def test_what_happens_to_a_job_is_told_as_events(home: Home, project: Path) -> None:
    """Submitted, succeeded, delivered; or failed, with the diagnosis: each with its job or model and the flow run."""
    result = train(project)
    good = last_run().id
    script = project / "train.py"
    script.write_text(FAILS + script.read_text())
    with pytest.raises(JobFailed):
        train(project)
    bad = last_run().id

    def told(run: UUID, count: int) -> dict[str, Any] | None:
        mine = events(run, prefix="vertex-training.")
        found = {event.event.removeprefix("vertex-training."): event for event in mine}
        return found if len(found) == count else None

    first = until(lambda: told(good, 3))
    second = until(lambda: told(bad, 2))
    assert set(first) == {"job.submitted", "job.succeeded", "model.delivered"}
    assert set(second) == {"job.submitted", "job.failed"}
    assert first["job.submitted"].resource.id == f"vertex-training.job.{result.job}"
    assert first["model.delivered"].resource.id == f"vertex-training.model.{result.model}"
    assert "no data" in second["job.failed"].payload["diagnosis"]


def test_a_model_of_many_files_has_its_event(prefect_server: str) -> None:
    """Twenty thousand files would be more than the server takes in one."""
    files = [ModelFile(f"shard-{number:05}/weights.safetensors", 10, "0" * 64) for number in range(20_000)]

    @flow
    def delivering() -> None:
        model_event(Receipt("gs://models/many", files, "gs://models/receipt.json"))

    delivering()
    run = last_run().id
    (event,) = until(lambda: events(run, prefix="vertex-training."))
    assert (event.payload["count"], event.payload["bytes"]) == (20_000, 200_000)
    assert event.payload["files"][0]["path"] == files[0].path
    assert len(page(Receipt("gs://models/many", files, ""))) < 100_000


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A web server that keeps what is posted to it: its address and the bodies."""
    bodies: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()
        thread.join()


def test_a_failure_notifies(
    home: Home, project: Path, worker_of_module: Worker, listener: tuple[str, list[str]]
) -> None:
    """The example automation, with a webhook as the notification block."""
    address, bodies = listener
    block = CustomWebhookNotificationBlock(
        name="listener", url=address, json_data={"subject": "{{subject}}", "body": "{{body}}"}
    )
    saved = block.save("listener", overwrite=True)
    (project / "train.py").write_text("raise SystemExit(7)\n")
    with automation("notify-on-failure.yaml", worker_of_module, block=saved):
        with pytest.raises(VerifyError):
            train(project)
        until(lambda: bodies)

    told = json.loads(bodies[0])
    assert told["subject"].startswith("tiny @ ")
    assert told["subject"].endswith(": Failed")
    assert "exit code 7" in told["body"]


def test_two_triggered_runs_of_a_project_take_turns(home: Home, project: Path, worker_of_module: Worker) -> None:
    """The second says for what it waits, and goes on when the first has ended."""
    deployment = worker_of_module.deploy({"project": str(project)}, home)
    with get_client(sync_client=True) as client:
        for limit in client.read_global_concurrency_limits():
            if limit.name == "train-tiny":  # from another test's project of that name
                client.delete_global_concurrency_limit_by_name(limit.name)
    train(project)  # belongs to no deployment: makes no limit
    with get_client(sync_client=True) as client:
        assert [limit.name for limit in client.read_global_concurrency_limits() if limit.name == "train-tiny"] == []
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="train-tiny", limit=1))
        run = client.create_flow_run_from_deployment(deployment)
    parameters = {"project": str(project)}
    thread = threading.Thread(target=run_flow, args=(train,), kwargs={"flow_run": run, "parameters": parameters})

    def waits() -> bool:
        return any("waiting for a slot of the concurrency limit train-tiny" in line for line in log(run.id))

    with concurrency("train-tiny"):
        thread.start()
        until(waits)
    thread.join()

    with get_client(sync_client=True) as client:
        assert client.read_flow_run(run.id).state_name == "Completed"
        assert client.read_global_concurrency_limit_by_name("train-tiny").active_slots == 0


def test_a_region_is_asked_for_sixty_jobs_a_minute(prefect_server: str) -> None:
    """A slot decays every second; a limit that somebody changed stays changed."""
    connection = Connection.google("my-project", "europe-west4", "bucket", AnonymousCredentials())

    @flow
    def submitting() -> None:
        submission_turn(connection)

    submitting()
    name = "vertex-submissions-my-project-europe-west4"
    with get_client(sync_client=True) as client:
        made = client.read_global_concurrency_limit_by_name(name)
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=30))
    submitting()
    with get_client(sync_client=True) as client:
        changed = client.read_global_concurrency_limit_by_name(name)

    assert (made.limit, made.slot_decay_per_second) == (60, 1.0)
    assert changed.limit == 30


def test_a_long_run_has_a_bar(prefect_server: str) -> None:
    """It begins after some seconds, moves with the epochs that the training prints, and ends full."""
    now = [0.0]
    seen: list[float] = []

    def bar() -> Artifact | None:
        return artifacts(last_run().id).get("my-project-progress")

    @flow
    def training() -> None:
        progress = Progress(clock=lambda: now[0])
        log_of_job = TrainingLog(LogRecords(lambda line: None, lambda line: None))
        with artifacts_of("My_Project"), shown(progress):
            progress.begin("watch")
            assert bar() is None
            for epoch in (1, 2, 3):
                now[0] += 5
                log_of_job.lines([LogLine(0.0, "INFO", f"epoch {epoch}/4", "workerpool0-0")])
                seen.append(float(str(getattr(bar(), "data", 0))))
            progress.close("finished", whole=True)
            seen.append(float(str(getattr(bar(), "data", 0))))

    training()

    assert seen == pytest.approx([17, 34, 51, 100])
