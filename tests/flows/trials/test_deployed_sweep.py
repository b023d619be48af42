"""A sweep as people use it in Prefect: deployed, started from its form, cancelled, retried, and one trial retried."""

from __future__ import annotations

import asyncio
import html
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fixtures.prefect_api.worker import Worker, log, prefect, until
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling, Scheduled
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.sweep import asweep, sweep
from prefect_vertex_training.flows.trials.sweep_form import SweepChoices
from prefect_vertex_training.local_vertex.endpoint import store_path
from prefect_vertex_training.local_vertex.store.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(400)]

SCRIPT = """\
import argparse, os, pathlib, time

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.5)
lr = parser.parse_args().lr
flag = pathlib.Path({flag!r})
if "CLOUD_ML_JOB_ID" in os.environ:
    while {waits!r} and lr != 0.5 and not flag.exists():
        time.sleep(0.1)
    if lr == 0.3 and not flag.exists():
        raise SystemExit("no flag yet")
print(f"score={{1 - abs(lr - 0.1)}}")
folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.json").write_text(str(lr))
"""
SETTINGS = """\
[tool.vertex-training]
verify = "off"
[tool.vertex-training.sweep]
metric = "score"
goal = "max"
algorithm = "grid"
trials = 3
parallel = 2
space = { lr = [0.1, 0.3] }
"""


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """What the project's jobs look for."""
    return tmp_path / "flag"


def made(folder: Path, flag: Path, *, waits: bool) -> Path:
    """A project to search."""
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT.format(flag=str(flag), waits=waits))
    (folder / "requirements.txt").write_text("")
    (folder / "pyproject.toml").write_text(SETTINGS)
    return folder


def jobs(home: Home) -> list[str]:
    """The states of all jobs, such as SUCCEEDED, in order."""
    store = Store(store_path(home))
    try:
        return sorted(job.state.removeprefix("JOB_STATE_") for _, job in store.find("1", (), limit=1000))
    finally:
        store.close()


def reached(run: UUID, state: str) -> FlowRun | None:
    """The run, if it has that state."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(run)
    return found if found.state_name == state else None


def trials_of(run: UUID) -> dict[str, FlowRun]:
    """The runs of the trials by name, the newest of each."""
    wanted = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=wanted)
    return {each.name: each for each in sorted(found, key=lambda each: str(each.created))}


def deployed(project: Path, home: Home, worker: Worker, capsys: pytest.CaptureFixture[str]) -> Any:
    """The deployment that `vertex-training deploy --sweep` makes, with this test's folders."""
    words = ["deploy", project, "--sweep", "--name", project.name, "--cron", "0 2 * * *", "--work-pool", worker.pool]
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert not stop.value.code, capsys.readouterr().err
    env = {
        "VERTEX_TRAINING_HOME": str(home.root),
        "PREFECT_LOCAL_STORAGE_PATH": str(home.root.parent / "results"),
    }
    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(f"sweep/{project.name}")
        client.update_deployment(found.id, DeploymentUpdate(job_variables={"env": env}))
    return found


def test_a_deployed_sweep_is_cancelled_and_retried_in_the_ui(
    worker: Worker, home: Home, tmp_path: Path, flag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its form asks for the search; a cancellation ends the trials' jobs; a Retry runs each of those once more."""
    deployment = deployed(made(tmp_path / "searched", flag, waits=True), home, worker, capsys)

    assert [each.schedule.cron for each in deployment.schedules] == ["0 2 * * *"]
    form = deployment.parameter_openapi_schema["definitions"]["SweepChoices"]["properties"]
    assert [form[name]["title"] for name in ("space", "metric", "trials")] == ["Parameters", "Metric", "Trials"]

    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"search": {"trials": 3}}).id
        until(lambda: store_path(home).exists() and jobs(home) == ["RUNNING", "RUNNING", "SUCCEEDED"], pause=0.1)
        client.set_flow_run_state(run, Cancelling())
    until(lambda: reached(run, "Cancelled"))
    until(lambda: jobs(home) == ["CANCELLED", "CANCELLED", "SUCCEEDED"], pause=0.1)
    assert until(lambda: [line for line in log(run) if "running trials have confirmed their end" in line])

    flag.touch()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Scheduled(), force=True)
    until(lambda: reached(run, "Completed"))

    assert jobs(home) == ["CANCELLED", "CANCELLED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"], log(run)[-5:]
    shown = Artifact.get("searched-sweep")
    assert shown is not None
    assert "3 trials, 3 completed" in str(shown.data)


def test_one_trial_is_retried_alone(
    worker: Worker, home: Home, tmp_path: Path, flag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Prefect's own command, which the sweep's page shows: one more job, and the sweep goes on with its result."""
    project = made(tmp_path / "alone", flag, waits=False)
    first = sweep(project)
    assert [each.state for each in first.trials] == ["completed", "completed", "failed"]
    failed = first.trials[2].run
    shown = str(getattr(Artifact.get("alone-sweep"), "data", ""))
    command = f"prefect flow-run retry {failed} --entrypoint prefect_vertex_training.flows.trials.trial_flow:trial"
    assert command in html.unescape(shown.replace("<wbr>", "").replace("\\", "")), shown

    flag.touch()
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(tmp_path / "results"))
    prefect(worker, *command.split()[1:])
    again = sweep(project, earlier=first.sweep)

    assert [each.state for each in again.trials] == ["completed"] * 3
    assert [each.job for each in again.trials[:2]] == [each.job for each in first.trials[:2]]
    assert again.trials[2].run == failed
    assert jobs(home) == ["FAILED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]


def test_the_asynchronous_form_ends_its_trials_when_it_is_cancelled(home: Home, tmp_path: Path, flag: Path) -> None:
    """The event loop goes on beside it; a cancelled task leaves no job that runs."""
    project = made(tmp_path / "beside", flag, waits=True)

    async def cancelled() -> None:
        task = asyncio.create_task(asweep(project, search=SweepChoices(trials=3)))
        while not (store_path(home).exists() and jobs(home) == ["RUNNING", "RUNNING", "SUCCEEDED"]):
            assert not task.done(), task.result()
            await asyncio.sleep(0.1)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert jobs(home) == ["CANCELLED", "CANCELLED", "SUCCEEDED"]
