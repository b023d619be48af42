"""What a run cost, at its end, at its cap, and before it begins; with jobs of local_vertex that have a price.

Jobs of this machine cost nothing, so the projects here give theirs the labels that a job in the cloud gets.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect_vertex_training.cli.past_runs.find_runs import recorded_runs
from prefect_vertex_training.cli.past_runs.known_runs_table import cost_text
from prefect_vertex_training.core.errors import JobFailed
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.project.settings.settings import load
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.pricing.cost_labels import cost_labels
from prefect_vertex_training.vertex.pricing.hourly_rate import HourlyRate
from prefect_vertex_training.vertex.receipt.last_duration import last_duration
from prefect_vertex_training.vertex.receipt.monthly_costs import MonthlyCost, monthly_costs

pytestmark = pytest.mark.prefect

USD_A_SECOND = HourlyRate(3600.0, (), "built-in table of 2026-11-29")


def priced(project: Path, cap: float | None) -> None:
    """Gives the project's jobs a price, and their run a cap."""
    labels = json.dumps(cost_labels(USD_A_SECOND, cap)).replace('": "', '" = "')
    (project / "pyproject.toml").write_text(f'[tool.vertex-training]\nverify = "off"\nlabels = {labels}\n')


def test_a_run_ends_at_its_cap(home: Home, project: Path) -> None:
    """Its job is stopped, the failure names the cap, and there is no other attempt."""
    priced(project, 2.0)
    (project / "train.py").write_text("import time\ntime.sleep(120)\n")

    with pytest.raises(JobFailed, match=r"stopped at max-cost: this run cost [12]\.\d\d of 2\.00 USD") as ended:
        train(project)

    connection = Connection.local(home)
    (job,) = connection.jobs.list_custom_jobs(parent=connection.parent)
    assert (ended.value.kind, ended.value.retryable) == ("cost_cap", False)
    assert (job.end_time - job.start_time).total_seconds() < 2.5
    assert job.job_spec.scheduling.timeout.total_seconds() == 2


def test_what_a_run_cost_is_told_afterwards(home: Home, project: Path) -> None:
    """In its receipt, in the list of runs, and in the sums by month; the next estimate knows how long it took."""
    priced(project, 500.0)
    with (project / "train.py").open("a") as script:
        script.write("import time\ntime.sleep(1.2)\n")

    result = train(project)

    connection = Connection.local(home)
    (job,) = connection.jobs.list_custom_jobs(parent=connection.parent)
    seconds = (job.end_time - job.start_time).total_seconds()
    assert json.loads(Path(result.receipt).read_text())["cost"] == {
        "currency": "USD",
        "amount": pytest.approx(seconds, abs=0.001),
        "seconds": pytest.approx(seconds, abs=0.001),
        "an_hour": 3600.0,
        "prices": "built-in table of 2026-11-29",
        "max_cost": 500.0,
    }
    (run,) = recorded_runs(connection, "tiny", 5)
    assert cost_text(run) == f"{seconds:.2f}"
    month = time.strftime("%Y-%m", time.gmtime(job.create_time.timestamp()))
    assert monthly_costs(connection) == [MonthlyCost(month, "tiny", 1, pytest.approx(seconds, abs=0.001), 0)]
    assert last_duration(connection, "tiny", load(project).job) == pytest.approx(seconds, abs=0.001)
    assert last_duration(connection, "other", load(project).job) is None


def test_a_dry_run_starts_nothing(home: Home, project: Path) -> None:
    """Its result has no job; its artifact is the page of the plan."""
    result = train(project, args=["--epochs", "2"], dry_run=True)

    assert (result.state, result.job, result.model) == ("PLANNED", "", "")
    assert not (home.images / "index.json").exists()
    connection = Connection.local(home)
    assert list(connection.jobs.list_custom_jobs(parent=connection.parent)) == []
    with get_client(sync_client=True) as client:
        page = next(str(found.data) for found in client.read_artifacts() if found.key == "tiny-plan")
    assert "arguments    --epochs 2" in page
    assert "gcloud ai custom-jobs create" in page
