"""Trials with a fall-back list: each goes on to the next place by itself, and exactly one job of each counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path

import pytest
from fixtures.prefect_api.worker import log, until
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelling
from prefect_vertex_training.core.errors import TrainingError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.sweep import sweep
from prefect_vertex_training.flows.trials.stop_sweep import stop_sweep
from prefect_vertex_training.flows.trials.sweep_form import SweepChoices
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.endpoint import store_path
from prefect_vertex_training.local_vertex.store.store import Store

pytestmark = pytest.mark.prefect

SCRIPT = """\
import argparse, json, os, pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--model-dir", default=os.environ.get("AIP_MODEL_DIR"))
parser.add_argument("--lr", type=float, default=0.5)
options = parser.parse_args()
print(json.dumps({"step": 1, "score": 1 - abs(options.lr - 0.1)}))
folder = pathlib.Path(options.model_dir.replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.json").write_text("{}")
"""


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """A project whose script has a parameter to search."""
    folder = tmp_path / "searched"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "requirements.txt").write_text("")
    return folder


def choices(trials: int) -> SweepChoices:
    """A search for the score."""
    return SweepChoices(
        metric="score", goal="max", space=["lr = [0.1, 0.2, 0.3]"], algorithm="grid", trials=trials, parallel=trials
    )


def jobs(home: Home) -> list[tuple[str, str]]:
    """Region and state of every job, oldest first."""
    store = Store(store_path(home), read_only=True)
    try:
        return [(record.region, record.state.removeprefix("JOB_STATE_")) for _, record in store.find()][::-1]
    finally:
        store.close()


def test_trials_go_where_there_are_machines(home: Home, searched: Path) -> None:
    """Without machines in the first region all trials train in the second; models and receipts are there."""
    lifecycle.ensure_running(home, regions=("europe-west4",), faults={"stock_out_seconds@us-central1": 3600.0})
    found = sweep(searched, search=choices(2), fallback=["region=europe-west4,strategy=SPOT"])

    assert sorted(jobs(home)) == [("europe-west4", "SUCCEEDED")] * 2 + [("us-central1", "FAILED")] * 2
    assert all("/locations/europe-west4/" in each.job and each.state == "completed" for each in found.trials)
    assert all((Path(each.model) / "model.json").exists() and Path(each.receipt).exists() for each in found.trials)


def test_a_trial_without_any_machines_fails_with_one_line(home: Home, searched: Path) -> None:
    """The list of the project's settings counts; each place was tried as often as it says."""
    (searched / "pyproject.toml").write_text(
        "[tool.vertex-training]\nfallback-rounds = 1\n[[tool.vertex-training.fallback]]\nregion = 'europe-west4'\n"
    )
    lifecycle.ensure_running(home, regions=("europe-west4",), faults={"stock_out_seconds": 3600.0})
    with pytest.raises(TrainingError, match=r"no place of the fall-back list had machines in 1 round: us-central1"):
        sweep(searched, search=choices(1))

    assert jobs(home) == [("us-central1", "FAILED"), ("europe-west4", "FAILED")]


def test_the_hook_of_a_cancelled_sweep_finds_its_trials_elsewhere(home: Home, searched: Path) -> None:
    """Their jobs in the region of the list's second place are cancelled, and it says that both have ended."""
    lifecycle.ensure_running(home, regions=("europe-west4",), faults={"stock_out_seconds@us-central1": 3600.0})
    script = searched / "train.py"
    script.write_text(f"{SCRIPT}\nimport time\ntime.sleep(600)\n")
    begin = partial(sweep, searched, search=choices(2), fallback=["region=europe-west4"], verify="off")

    def newest() -> FlowRun:
        wanted = FlowFilter(name=FlowFilterName(any_=["sweep"]))
        with get_client(sync_client=True) as client:
            return client.read_flow_runs(flow_filter=wanted, sort=FlowRunSort.START_TIME_DESC, limit=1)[0]

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(copy_context().run, begin)
        until(lambda: store_path(home).exists() and jobs(home).count(("europe-west4", "RUNNING")) == 2, pause=0.1)
        run = newest()
        stop_sweep(sweep, run, Cancelling())  # as Prefect calls it in another process
        assert jobs(home).count(("europe-west4", "CANCELLED")) == 2
        with pytest.raises(TrainingError):
            running.result()

    assert until(lambda: [line for line in log(run.id) if "2 of 2 running trials have confirmed their end" in line])
