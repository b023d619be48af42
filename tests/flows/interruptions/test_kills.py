"""`kill -9` of a flow's process while its job runs, and the retry. The long campaign is a benchmark."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest
from fixtures.prefect_api.worker import descendants, until
from prefect import settings
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import AwaitingRetry
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.tasks.reporting.logged_lines import lines_of_run

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
TALKATIVE = """
import time
for number in range(10_000):
    print("line", number, flush=number % 100 == 0)
    time.sleep(1 if number % 2000 == 0 else 0)
"""


def load(folder: str, name: str) -> ModuleType:
    """A script of the benchmarks as a module."""
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", BENCHMARKS / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def campaign(forked: list[str], home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, for processes on this session's Prefect server."""
    monkeypatch.setenv("PREFECT_API_URL", str(settings.PREFECT_API_URL.value()))
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(tmp_path / "results"))
    monkeypatch.syspath_prepend(BENCHMARKS / "vertex")
    monkeypatch.setattr("killed_runs.PROGRAM", [*forked, "script", str(BENCHMARKS / "vertex" / "killed_flow.py")])
    return load("vertex", "flow_kills")


@contextmanager
def running(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program as a process, with all that it started ended afterwards."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        kill_all(process.pid)
        process.wait()


def kill_all(pid: int) -> None:
    """Takes a process and its flow runs away at once, as a lost machine would; jobs go on."""
    for found in [pid, *descendants(pid)]:
        with suppress(ProcessLookupError):
            os.kill(found, signal.SIGKILL)


@pytest.mark.timeout(600)
def test_killed_and_retried_runs_have_one_job_each(campaign: ModuleType, home: Home, tmp_path: Path) -> None:
    """Two kills of submit and watch: one job succeeded, none runs, each line once. The next test kills whole runs."""
    image = load("local_vertex", "images").tiny_image(home, tmp_path / "image")
    flows = [("short", {"image": image, "script": campaign.SCRIPT, "args": ["1.5"]}, 2)]

    report = campaign.campaign(home, flows, tmp_path / "flows.log", seed=3)

    assert report.is_clean, (report, (tmp_path / "flows.log").read_text()[-3000:])
    assert report.kills == 2
    assert report.jobs == report.runs


@pytest.mark.timeout(600)
def test_killed_runs_with_a_fall_back_list_have_one_job_over_all_regions(
    campaign: ModuleType,
    home: Home,
    tmp_path: Path,
) -> None:
    """Two kills of the train flow while regions have no machines, refuse and lose answers: one job succeeded."""
    kills = load("vertex", "fallback_kills")

    report, where = kills.campaign(home, tmp_path / "tiny", tmp_path / "flows.log", kills=2, seed=5)

    assert report.is_clean, (report, (tmp_path / "flows.log").read_text()[-3000:])
    assert sum(where.values()) == report.runs
    assert report.kills == 2


@pytest.mark.timeout(600)
def test_ten_thousand_lines_survive_a_kill_of_the_watcher(campaign: ModuleType, home: Home, tmp_path: Path) -> None:
    """Killed in the middle of printing them, then retried: the run's log has all, in order, each once."""
    image = load("local_vertex", "images").tiny_image(home, tmp_path / "image")
    with campaign.started(tmp_path / "flows.log") as starter, get_client(sync_client=True) as client:
        flow = client.create_flow_from_name("short")
        parameters = {"image": image, "script": TALKATIVE, "args": []}
        answer = client.request(
            "POST", "/flow_runs/", json={"flow_id": str(flow), "parameters": parameters, "state": {"type": "PENDING"}}
        )
        run = UUID(answer.json()["id"])
        pid = starter.start(run)
        until(lambda: any(line.startswith("line ") for line in lines_of_run(run)))
        os.kill(pid, signal.SIGKILL)
        killed = starter.wait_for("end")
        before = sum(line.startswith("line ") for line in lines_of_run(run))
        client.set_flow_run_state(run, AwaitingRetry(), force=True)
        starter.start(run)
        ended = starter.wait_for("end")

    printed = [line for line in lines_of_run(run) if line.startswith("line ")]
    assert (killed, ended) == (str(-signal.SIGKILL), "0"), (tmp_path / "flows.log").read_text()[-3000:]
    assert before > 0
    assert printed == [f"line {number}" for number in range(10_000)]
    assert campaign.states(home, run) == ["SUCCEEDED"]


@pytest.mark.timeout(600)
def test_a_killed_server_of_a_deployment_loses_no_job(
    campaign: ModuleType, forked: list[str], home: Home, tmp_path: Path
) -> None:
    """`deploy` and its flow process are killed; started again, it takes the retried run to the same job's end."""
    project = campaign.project(tmp_path / "tiny")
    script = (project / "train.py").read_text()
    (project / "train.py").write_text(script.replace("1.5", "6.0"))
    words = [*forked, "vertex-training", "deploy", str(project), "--name", "to-kill"]
    with get_client(sync_client=True) as client:

        def deployment() -> UUID | None:
            return next((found.id for found in client.read_deployments() if found.name == "to-kill"), None)

        with running(words) as first:
            run = client.create_flow_run_from_deployment(until(deployment)).id
            until(lambda: "RUNNING" in campaign.states(home, run))
            kill_all(first.pid)
        client.set_flow_run_state(run, AwaitingRetry(), force=True)
        with running(words):

            def completed() -> bool:
                state = client.read_flow_run(run).state
                return state is not None and state.type == StateType.COMPLETED

            until(completed, seconds=300)

    assert campaign.states(home, run) == ["SUCCEEDED"]
