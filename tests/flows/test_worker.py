"""Runs that a worker executes: scheduled, retried, and taken up after the worker was lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from fixtures.worker import Worker, until
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.vertex.connection import Connection

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(400)]

NEEDS = """\
import os, pathlib
if "CLOUD_ML_JOB_ID" in os.environ and not pathlib.Path({flag!r}).exists():
    raise ValueError("no data yet")
"""


def run_of(deployment: UUID) -> FlowRun:
    """A run as "Quick run" in the UI makes it."""
    with get_client(sync_client=True) as client:
        return client.create_flow_run_from_deployment(deployment)


def ended(run: UUID, *, attempt: int = 1) -> FlowRun:
    """The run once that attempt of it is in a final state."""

    def look() -> FlowRun | None:
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run)
        return found if found.state and found.state.is_final() and found.run_count >= attempt else None

    return until(look)


def retry(run: UUID, worker: Worker) -> FlowRun:
    """The run after `prefect flow-run retry`, as a person types it."""
    program = Path(sys.executable).with_name("prefect")
    env = {**os.environ, "PREFECT_API_URL": worker.api}
    subprocess.run([program, "flow-run", "retry", str(run)], check=True, env=env, stdout=subprocess.DEVNULL)
    return ended(run, attempt=2)


def states(run: UUID, attempt: int) -> dict[str, str | None]:
    """How each step of one attempt ended, by the first word of its name."""
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
    return {task.name.split()[0]: task.state_name for task in found if task.flow_run_run_count == attempt}


def jobs(home: Home) -> list[str]:
    """The state of every job, without the common prefix."""
    connection = Connection.local(home)
    found = connection.jobs.list_custom_jobs(parent=connection.parent)
    return [job.state.name.removeprefix("JOB_STATE_") for job in found]


def test_a_retry_takes_up_at_the_step_that_failed(worker: Worker, home: Home, project: Path) -> None:
    """Finished steps are Cached, also build and push; a failed job is not the answer, so there is a second one."""
    flag = project.parent / "data"
    (project / "train.py").write_text(NEEDS.format(flag=str(flag)) + (project / "train.py").read_text())
    failed = ended(run_of(worker.deploy({"project": str(project)}, home)).id)
    flag.touch()
    done = retry(failed.id, worker)

    assert (failed.state_name, done.state_name) == ("Failed", "Completed")
    assert states(failed.id, 1)["watch"] == "Failed"
    second = states(failed.id, 2)
    assert {name for name, state in second.items() if state == "Cached"} == {"verify", "freeze", "build", "push"}
    assert sorted(jobs(home)) == ["FAILED", "SUCCEEDED"]


def test_a_finished_job_is_not_paid_for_again(worker: Worker, home: Home, project: Path) -> None:
    """The job succeeded, its receipt failed: a retry finds the job, and reads what is there by then."""
    script = project / "train.py"
    script.write_text("import os\nif 'CLOUD_ML_JOB_ID' in os.environ:\n    raise SystemExit\n" + script.read_text())
    failed = ended(run_of(worker.deploy({"project": str(project)}, home)).id)
    model = home.vertex / "buckets" / "local" / project.name / str(failed.id) / "model"
    model.mkdir(parents=True, exist_ok=True)
    (model / "model.json").write_text("{}")
    done = retry(failed.id, worker)

    assert states(failed.id, 1)["receipt"] == "Failed"
    assert done.state_name == "Completed"
    assert jobs(home) == ["SUCCEEDED"]
