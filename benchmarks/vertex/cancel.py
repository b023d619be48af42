"""Measures the time from a cancel in Prefect until the job is CANCELLED, on local_vertex.

    python benchmarks/vertex/cancel.py [--runs 5]

Uses a real Prefect server and a deployment served by `vertex-training deploy`. Each run is triggered and, once its job
is RUNNING, cancelled as the UI does it; the time starts with the cancel request.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.vertex.client.connection import Connection

T = TypeVar("T")
SCRIPT = """\
import os, pathlib, time
folder = pathlib.Path(os.environ.get("AIP_MODEL_DIR", "out").replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("model")
if "CLOUD_ML_JOB_ID" in os.environ:
    time.sleep(600)
"""


def main() -> int:
    """Prints the seconds; 1 when one of them is above 10."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    folder = Path(tempfile.mkdtemp(prefix="cancel-"))
    home = Home(folder / "home")
    project = folder / "sleeper"
    project.mkdir()
    (project / "train.py").write_text(SCRIPT)
    (project / "requirements.txt").write_text("")
    os.environ |= {
        "VERTEX_TRAINING_HOME": str(home.root),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    from prefect import settings
    from prefect.testing.utilities import prefect_test_harness

    try:
        with prefect_test_harness(server_startup_timeout=120):
            os.environ["PREFECT_API_URL"] = str(settings.PREFECT_API_URL.value())
            program = Path(sys.executable).with_name("vertex-training")
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            server = subprocess.Popen([program, "deploy", project, "--name", "sleeper"], **quiet)
            try:
                seconds = [cancelled(home) for _ in range(runs)]
            finally:
                server.terminate()
                server.wait()
    finally:
        lifecycle.stop(home)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"from the request to CANCELLED, {runs} runs: ", *(f"{value:.1f}" for value in seconds))
    print(f"median {statistics.median(seconds):.1f} s, most {max(seconds):.1f} s")
    return 0 if max(seconds) <= 10 else 1


def cancelled(home: Home) -> float:
    """Triggers a run, cancels it when its job runs, and returns the seconds until the job has ended."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling

    with get_client(sync_client=True) as client:

        def deployment() -> UUID | None:
            return next((found.id for found in client.read_deployments() if found.name == "sleeper"), None)

        run = client.create_flow_run_from_deployment(until(deployment)).id
        until(lambda: states(home, run) == ["RUNNING"])
        begin = time.monotonic()
        client.set_flow_run_state(run, Cancelling())
        until(lambda: states(home, run) == ["CANCELLED"])
        return time.monotonic() - begin


def states(home: Home, run: UUID) -> list[str]:
    """The states of the run's jobs, without their common prefix."""
    connection = Connection.local(home)
    wanted = f'labels.prefect_flow_run="{run}"'
    jobs = connection.jobs.list_custom_jobs({"parent": connection.parent, "filter": wanted}, timeout=30)
    return [job.state.name.removeprefix("JOB_STATE_") for job in jobs]


def until(condition: Callable[[], T | None], seconds: float = 180.0) -> T:
    """Waits until the condition returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{condition} did not happen within {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
