"""A cancelled run leaves no job behind that goes on costing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from prefect import settings
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelling
from prefect_vertex_training.core.errors import StorageError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.endpoint import store_path
from prefect_vertex_training.local_vertex.store.store import Store

pytestmark = pytest.mark.prefect

LONG = """\
import os, time
if "CLOUD_ML_JOB_ID" in os.environ:
    print("working", flush=True)
    time.sleep(600)
folder = os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"); os.makedirs(folder, exist_ok=True)
open(os.path.join(folder, "model"), "w").close()
"""


def until(condition: Callable[[], object], seconds: float = 90.0) -> object:
    """What the condition gives once it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    pytest.fail(f"{condition} did not happen within {seconds} s")


def states(home: Home) -> list[str]:
    """The state of every job of the local service, in whichever region, without the common prefix; oldest first."""
    try:
        store = Store(store_path(home), read_only=True)
    except StorageError:
        return []  # the run has not started the service yet
    try:
        return [record.state.removeprefix("JOB_STATE_") for _, record in store.find()][::-1]
    finally:
        store.close()


@contextmanager
def running(forked: list[str], home: Home, results: Path, *words: object) -> Iterator[subprocess.Popen[bytes]]:
    """The program as a process, on this session's Prefect server."""
    env = {
        **os.environ,
        "PREFECT_API_URL": str(settings.PREFECT_API_URL.value()),
        "PREFECT_LOCAL_STORAGE_PATH": str(results),
        "VERTEX_TRAINING_HOME": str(home.root),
    }
    process = subprocess.Popen([*forked, "vertex-training", *map(str, words)], env=env, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


LISTED = ("--fallback", "region=europe-west4", "--fallback", "region=asia-east1")
"""Further places of the list; the first one has no machines, so the job is in the second."""


@pytest.fixture
def short(home: Home) -> None:
    """The first region of the list has no machines."""
    lifecycle.ensure_running(home, regions=("europe-west4", "asia-east1"), faults={"stock_out@us-central1": 5})


@pytest.mark.usefixtures("short")
def test_cancelling_in_prefect_cancels_the_job(forked: list[str], home: Home, project: Path, tmp_path: Path) -> None:
    """Triggered as the UI does it, cancelled as the UI does it, executed by a served deployment with a list."""
    (project / "train.py").write_text(LONG)
    with (
        running(forked, home, tmp_path / "results", "deploy", project, "--name", "to-cancel", *LISTED),
        get_client(sync_client=True) as client,
    ):

        def deployment() -> UUID | None:
            return next((found.id for found in client.read_deployments() if found.name == "to-cancel"), None)

        run = client.create_flow_run_from_deployment(until(deployment))  # pyright: ignore[reportArgumentType]
        until(lambda: states(home) == ["FAILED", "RUNNING"])
        client.set_flow_run_state(run.id, Cancelling())
        until(lambda: states(home) == ["FAILED", "CANCELLED"])

        def cancelled() -> bool:
            state = client.read_flow_run(run.id).state
            return state is not None and state.type == StateType.CANCELLED

        until(cancelled)


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_ending_the_command_cancels_the_job(
    forked: list[str], home: Home, project: Path, tmp_path: Path, sign: signal.Signals, code: int
) -> None:
    """By Ctrl-C, or as a machine that shuts down ends its processes."""
    (project / "train.py").write_text(LONG)
    with running(forked, home, tmp_path / "results", "run", project) as process:
        until(lambda: states(home) == ["RUNNING"])
        process.send_signal(sign)
        _, said = process.communicate(timeout=60)
        until(lambda: states(home) == ["CANCELLED"])

    assert process.returncode == code
    assert b"Traceback" not in said


@pytest.mark.usefixtures("short")
def test_ending_a_command_with_a_list_cancels_its_job_in_another_region(
    forked: list[str], home: Home, project: Path, tmp_path: Path
) -> None:
    """By Ctrl-C; nothing follows at the next place of the list."""
    (project / "train.py").write_text(LONG)
    with running(forked, home, tmp_path / "results", "run", project, *LISTED) as process:
        until(lambda: states(home) == ["FAILED", "RUNNING"])
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        until(lambda: states(home) == ["FAILED", "CANCELLED"])

    assert process.returncode == 130
    assert b"Traceback" not in said
