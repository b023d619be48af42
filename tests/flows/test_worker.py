"""Runs that a worker executes: scheduled, retried, and taken up after the worker was lost."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from fixtures.worker import Worker, until
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect_vertex_training.core.home import Home

pytestmark = pytest.mark.prefect


def run_of(deployment: UUID) -> FlowRun:
    """A run as "Quick run" in the UI makes it."""
    with get_client(sync_client=True) as client:
        return client.create_flow_run_from_deployment(deployment)


def ended(run: UUID) -> FlowRun:
    """The run once it is in a final state."""

    def look() -> FlowRun | None:
        with get_client(sync_client=True) as client:
            found = client.read_flow_run(run)
        return found if found.state and found.state.is_final() else None

    return until(look)


def test_a_worker_takes_a_project_to_its_model(worker: Worker, home: Home, project: Path) -> None:
    """From a deployment on a process work pool."""
    run = ended(run_of(worker.deploy({"project": str(project)}, home)).id)

    assert run.state_name == "Completed", worker.log.read_text()[-3000:]
