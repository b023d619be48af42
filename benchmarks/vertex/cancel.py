"""Measures a cancel in Prefect, on local_vertex: until the job is asked to end, and until the run is Cancelled.

    python benchmarks/vertex/cancel.py [--runs 5] [--stubborn]

Uses a real Prefect server and a deployment served by `vertex-training deploy`. Each run is triggered and, once its job
is RUNNING, cancelled as the UI does it; the time starts with the cancel request. With `--stubborn` the script takes
15 s to end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.vertex.client.connection import Connection

T = TypeVar("T")
SCRIPT = """\
import os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ.get("AIP_MODEL_DIR", "out").replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("model")
if "CLOUD_ML_JOB_ID" in os.environ:
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, lambda *_: (time.sleep(15), sys.exit(0)))
    time.sleep(600)
"""
ASKED = {"CANCELLING", "CANCELLED"}
BARS = {"asked": 3.0, "Cancelled": 8.0}


def main() -> int:
    """Prints the seconds; 1 when one of them is above its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--stubborn", action="store_true")
    parser.add_argument("--log", type=Path, help="where the output of `deploy` goes")
    options = parser.parse_args()
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
    try:
        with prefect_server(folder):
            program = Path(sys.executable).with_name("vertex-training")
            arguments = ["--", "stubborn"] if options.stubborn else []
            with (options.log or folder / "deploy.log").open("wb") as log:
                words = [program, "deploy", project, "--name", "sleeper", *arguments]
                server = subprocess.Popen(words, stdout=log, stderr=log)
                try:
                    found = [cancelled(home) for _ in range(options.runs)]
                finally:
                    server.terminate()
                    server.wait()
    finally:
        lifecycle.stop(home)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.runs} runs, seconds from the request until")
    for what, bar in BARS.items():
        seconds = [times[what] for times in found]
        median = statistics.median(seconds)
        print(
            f"{what:<10} median {median:.1f}, most {max(seconds):.1f} (bar {bar:.0f}):", *(f"{s:.1f}" for s in seconds)
        )
    return 0 if all(times[what] <= bar for times in found for what, bar in BARS.items()) else 1


@contextmanager
def prefect_server(folder: Path) -> Iterator[None]:
    """Runs a Prefect server, and makes it this process's own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [Path(sys.executable).with_name("prefect"), "server", "start", "--host", "127.0.0.1", "--port", port]
    os.environ["PREFECT_API_URL"] = api = f"http://127.0.0.1:{port}/api"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: answers(api))
        yield
    finally:
        server.terminate()
        server.wait()


def answers(api: str) -> bool:
    """Whether the server is up."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5):
            return True
    except OSError:
        return False


def cancelled(home: Home) -> dict[str, float]:
    """Triggers a run, cancels it when its job runs, and returns the seconds until what `BARS` names."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling

    with get_client(sync_client=True) as client:

        def deployment() -> UUID | None:
            return next((found.id for found in client.read_deployments() if found.name == "sleeper"), None)

        run = client.create_flow_run_from_deployment(until(deployment)).id
        until(lambda: states(home, run) == ["RUNNING"])
        begin = time.monotonic()
        client.set_flow_run_state(run, Cancelling())
        until(lambda: ASKED & set(states(home, run)))
        asked = time.monotonic() - begin
        until(lambda: client.read_flow_run(run).state_name == "Cancelled")
        return {"asked": asked, "Cancelled": time.monotonic() - begin}


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
