"""Runs that a worker executes: scheduled, retried, and continued after the worker was lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import UUID

import pytest
from fixtures.prefect_api.worker import Worker, automation, events, log, prefect, until
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.filesystems import LocalFileSystem
from prefect.flow_engine import run_flow
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.states import Scheduled
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.vertex.client.connection import Connection

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(400)]

SAVES_NO_MODEL = """\
import os
if "CLOUD_ML_JOB_ID" in os.environ:
    raise SystemExit
"""

WAITS_FOR_A_FILE = """\
import os, pathlib, time
if "CLOUD_ML_JOB_ID" in os.environ:
    open({started!r}, "a").write("x")
    while not pathlib.Path({flag!r}).exists():
        time.sleep(0.1)
"""


def repeat_heartbeat(run: UUID) -> None:
    """Sends the run's heartbeat once more, so that the last one is of now."""
    beat = until(lambda: events(run, prefix="prefect.flow-run.heartbeat"))[-1]
    emit_event(beat.event, resource=dict(beat.resource.root), related=beat.related, payload=beat.payload)


def runs(deployment: UUID) -> list[FlowRun]:
    """All runs of a deployment, scheduled ones too."""
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])))


def run_of(deployment: UUID) -> FlowRun:
    """Starts a run as "Quick run" in the UI does."""
    with get_client(sync_client=True) as client:
        return client.create_flow_run_from_deployment(deployment)


def ended(run: UUID, *, attempt: int = 1) -> FlowRun:
    """Waits until that attempt of the run is in a final state; returns the run."""

    def look() -> FlowRun | None:
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run)
        return found if found.state and found.state.is_final() and found.run_count >= attempt else None

    return until(look)


def executed(run: UUID, *, results: Path) -> FlowRun:
    """Executes the run in this process, as a worker whose own results lie in that folder; returns the run."""
    values = {PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: "local-file-system/shared", PREFECT_LOCAL_STORAGE_PATH: results}
    with temporary_settings(values), get_client(sync_client=True) as client:  # pyright: ignore[reportArgumentType]
        client.set_flow_run_state(run, Scheduled(), force=True)
        found = client.read_flow_run(run)
        run_flow(train, flow_run=found, parameters=found.parameters, return_type="state")
        return client.read_flow_run(run)


def states(run: UUID, attempt: int) -> dict[str, str | None]:
    """The state of each step of one attempt, by the first word of the step's name."""
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
    return {task.name.split()[0]: task.state_name for task in found if task.flow_run_run_count == attempt}


def jobs(home: Home) -> list[str]:
    """The states of all jobs, such as SUCCEEDED."""
    connection = Connection.local(home)
    found = connection.jobs.list_custom_jobs(parent=connection.parent)
    return [job.state.name.removeprefix("JOB_STATE_") for job in found]


def save_model(run: UUID, home: Home, project: Path) -> None:
    """Saves a model where the run's job should have saved it."""
    model = home.vertex / "buckets" / "local" / project.name / str(run) / "model"
    model.mkdir(parents=True, exist_ok=True)
    (model / "model.json").write_text("{}")


def test_a_retry_continues_at_the_step_that_failed(worker: Worker, home: Home, project: Path) -> None:
    """Finished steps are Cached, and a job that succeeded is not paid for again."""
    script = project / "train.py"
    script.write_text(SAVES_NO_MODEL + script.read_text())
    failed = ended(run_of(worker.deploy({"project": str(project)}, home)).id)
    save_model(failed.id, home, project)
    prefect(worker, "flow-run", "retry", failed.id)
    done = ended(failed.id, attempt=2)

    assert (failed.state_name, done.state_name) == ("Failed", "Completed")
    assert states(failed.id, 1)["receipt"] == "Failed"
    second = states(failed.id, 2)
    assert {name for name, state in second.items() if state == "Cached"} == {"verify", "freeze", "build", "push"}
    assert jobs(home) == ["SUCCEEDED"]


def test_another_worker_reads_the_results_of_the_first(
    home: Home, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a storage that both reach; if results are gone, the run says which, repeats those steps and completes."""
    results, elsewhere = project.parent / "shared", Home(home.root / "other")
    script = project / "train.py"
    script.write_text(SAVES_NO_MODEL + script.read_text())
    LocalFileSystem(basepath=str(results)).save("shared", overwrite=True)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(train, parameters={"project": str(project)}).id
    failed = executed(run, results=project.parent / "results")
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(elsewhere.root))
    try:
        executed(run, results=home.root)
        second = states(run, 2)
        assert not any("is gone" in line for line in log(run))
        shutil.rmtree(results)
        save_model(run, elsewhere, project)
        done = executed(run, results=home.root)
        third = states(run, 3)
    finally:
        lifecycle.stop(elsewhere)

    assert (failed.state_name, done.state_name) == ("Failed", "Completed")
    assert (second["verify"], second["freeze"], second["build"]) == ("Cached", "Cached", "Completed")
    assert (third["verify"], third["freeze"], third["build"]) == ("Completed", "Completed", "Cached")
    told = f"verify was finished before, but its result is gone from LocalFileSystem shared {results}"
    APILogHandler().flush()  # it was executed in this process
    until(lambda: any(told in line for line in log(run)))


def test_a_schedule_fires_and_a_paused_one_does_not(worker: Worker, home: Home, project: Path) -> None:
    """By cron with a sixth field for seconds; one run at a time, so that a slow machine isn't overloaded."""
    options = {"cron": "* * * * * */5", "concurrency_limit": 1}
    paused = worker.deploy({"project": str(project)}, home, paused=True, **options)
    active = worker.deploy({"project": str(project)}, home, **options)

    def first() -> FlowRun | None:
        return next((run for run in runs(active) if run.state and not run.state.is_scheduled()), None)

    began = until(first)
    with get_client(sync_client=True) as client:
        client.pause_deployment(active)  # at once: a second run would outlive the test
    done = ended(began.id)

    assert (done.state_name, done.auto_scheduled) == ("Completed", True)
    assert runs(paused) == []


def test_a_run_of_a_lost_worker_continues_with_the_same_job(worker: Worker, home: Home, project: Path) -> None:
    """The worker is killed while the job runs; the example automation schedules the run again."""
    flag, started = project.parent / "go", project.parent / "started"
    script = project / "train.py"
    script.write_text(WAITS_FOR_A_FILE.format(flag=str(flag), started=str(started)) + script.read_text())
    run = run_of(worker.deploy({"project": str(project)}, home))
    until(started.exists)
    worker.kill()
    # Prefect accepts no less than 10 s. Heartbeats come every 30 s at most, so an automation of 10 s that stayed would
    # take the next attempt for lost, too.
    with automation("take-up-lost-runs.yaml", worker, within=10):
        repeat_heartbeat(run.id)
        worker.start()
        until(lambda: events(run.id, prefix="prefect.flow-run.AwaitingRetry"))
    until(lambda: "watch" in states(run.id, 2))
    flag.touch()
    done = ended(run.id, attempt=2)

    assert done.state_name == "Completed"
    assert jobs(home) == ["SUCCEEDED"]
    assert started.read_text() == "x"
