"""A run with a fall-back list: the next place takes the job, whatever is killed, and exactly one job counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate
from prefect_vertex_training.core.errors import JobFailed, VertexError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import set_faults
from prefect_vertex_training.local_vertex.endpoint import store_path
from prefect_vertex_training.local_vertex.store.store import Store
from prefect_vertex_training.vertex.fallback.driver import IGNORED_REGIONS

pytestmark = pytest.mark.prefect


def jobs(home: Home) -> list[tuple[str, str]]:
    """Region and state of every job, oldest first."""
    store = Store(store_path(home), read_only=True)
    try:
        return [(record.region, record.state.removeprefix("JOB_STATE_")) for _, record in store.find()][::-1]
    finally:
        store.close()


def table(key: str) -> list[dict[str, str]]:
    """The rows of the newest table artifact of that key."""
    found = Artifact.get(key)
    assert found is not None
    return json.loads(str(found.data))  # pyright: ignore[reportAttributeAccessIssue]


def test_the_next_region_takes_the_job(home: Home, project: Path) -> None:
    """Without machines in the first region the second one trains; the model, the receipt and a table say so."""
    faults = {"stock_out@us-central1": 1, "resource_exhausted@europe-west1": 1}
    lifecycle.ensure_running(home, regions=("europe-west1", "europe-west4"), faults=faults)
    lines = ["region=europe-west1", '{"region": "europe-west4", "strategy": "SPOT", "wait": "10m"}']
    result = train(project, fallback=lines)

    assert jobs(home) == [("us-central1", "FAILED"), ("europe-west4", "SUCCEEDED")]
    assert "/locations/europe-west4/" in result.job
    assert (Path(result.model) / "model.json").exists()
    receipt = json.loads(Path(result.receipt).read_text("utf-8"))
    assert (receipt["job"]["region"], receipt["strategy"]) == ("europe-west4", "SPOT")
    tried = [(row["region"], row["strategy"], row["how it ended"]) for row in table("tiny-places")]
    assert tried[0] == ("us-central1", "STANDARD", "no machine of this kind was free in us-central1")
    assert tried[1][0] == "europe-west1"
    assert "quota" in tried[1][2]
    assert tried[2] == ("europe-west4", "SPOT", "succeeded")


def test_a_wait_that_is_over_moves_on_after_the_job_has_ended(home: Home, project: Path) -> None:
    """A job in a queue without room is cancelled, and only then is the next place tried."""
    settings = '[tool.vertex-training]\nwait = "2s"\n[[tool.vertex-training.fallback]]\nregion = "europe-west4"\n'
    (project / "pyproject.toml").write_text(settings)
    lifecycle.ensure_running(home, regions=("europe-west4",), faults={"pending_seconds@us-central1": 3600.0})
    train(project)

    assert jobs(home) == [("us-central1", "CANCELLED"), ("europe-west4", "SUCCEEDED")]
    assert table("tiny-places")[0]["how it ended"] == "no machines came in time"


def test_a_failure_of_the_users_ends_at_once(home: Home, project: Path) -> None:
    """The script's own error isn't tried in another region."""
    (project / "train.py").write_text("raise SystemExit(7)\n")
    with pytest.raises(JobFailed, match="exit status 7"):
        train(project, fallback=["region=europe-west4"], verify="off")

    assert jobs(home) == [("us-central1", "FAILED")]


def test_a_list_without_machines_ends_in_one_line(home: Home, project: Path) -> None:
    """Each place is tried in each round; the line names them."""
    lifecycle.ensure_running(home, regions=("europe-west4",), faults={"stock_out_seconds": 3600.0})
    with pytest.raises(VertexError, match=r"had machines in 2 rounds: us-central1: .*; europe-west4: ") as raised:
        train(project, fallback=["region=europe-west4"])

    assert "\n" not in str(raised.value)
    assert [region for region, _ in jobs(home)] == ["us-central1", "europe-west4"] * 2


def test_regions_are_added_to_a_service_that_runs(home: Home, project: Path) -> None:
    """A run's own local_vertex is started again with the list's regions, and keeps the faults that were set."""
    first = lifecycle.ensure_running(home)
    set_faults(first, {"stock_out@us-central1": 1})
    result = train(project, fallback=["region=asia-east1"])

    assert "/locations/asia-east1/" in result.job
    running = lifecycle.find(home)
    assert running is not None
    assert running.region == "us-central1"


def test_a_retry_leaves_out_a_region_that_a_variable_names(home: Home, project: Path) -> None:
    """A person can't change the parameters of a run, but Prefect's variable; it is said in the run's log."""
    lifecycle.ensure_running(home, regions=("europe-west4",))
    with get_client(sync_client=True) as client:
        client.create_variable(VariableCreate(name=IGNORED_REGIONS, value=["us-central1", "asia-east1"]))
    try:
        result = train(project, fallback=["region=europe-west4"])
    finally:
        with get_client(sync_client=True) as client:
            client.delete_variable_by_name(IGNORED_REGIONS)

    assert "/locations/europe-west4/" in result.job
    assert jobs(home) == [("europe-west4", "SUCCEEDED")]
