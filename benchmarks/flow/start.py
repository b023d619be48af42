"""How soon `vertex-training run` reaches its first task, beside a script with an empty Prefect flow.

    python benchmarks/flow/start.py [--runs 9] [--cold]

Starts a Prefect server of its own, then runs both programs in turn, each as a process of its own. The time is from
the process's start to the start of the flow run's first task, as Prefect recorded it. `--cold` stops local_vertex
before each run, so that each has to start it.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"
EMPTY = """\
from prefect import flow, task

@task
def first(): ...

@flow
def empty():
    first()

if __name__ == "__main__":
    empty()
"""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="counted runs of each program")
    parser.add_argument("--cold", action="store_true", help="stop local_vertex before each run")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="start-benchmark-"))
    os.environ |= {"VERTEX_TRAINING_HOME": str(folder / "home"), "PREFECT_HOME": str(folder / "prefect")}
    os.environ |= {"PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    (folder / "empty.py").write_text(EMPTY)
    try:
        from prefect import settings
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            os.environ["PREFECT_API_URL"] = str(settings.PREFECT_API_URL.value())
            measure(folder / "empty.py", options.runs, cold=options.cold)
    finally:
        stop_service()
        shutil.rmtree(folder, ignore_errors=True)


def measure(script: Path, runs: int, *, cold: bool) -> None:
    """Runs both in turn and prints medians."""
    program = Path(sys.executable).with_name("vertex-training")
    empty = [sys.executable, str(script)]
    ours = [str(program), "run", str(EXAMPLE), "--", "--epochs", "1"]
    first_task(empty)  # once for the caches of both
    first_task(ours)
    empties, flows = [], []
    for _ in range(runs):
        empties.append(first_task(empty))
        if cold:
            stop_service()
        flows.append(first_task(ours))
    base = statistics.median(empties)
    how = "started by each run" if cold else "runs already"
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, medians of {runs} runs; local_vertex {how}\n")
    print(f"{'to the first task':28} {'seconds':>8} {'ratio':>6}  {'least':>6} {'most':>6}")
    for name, values in (("an empty Prefect flow", empties), ("vertex-training run", flows)):
        median = statistics.median(values)
        print(f"{name:28} {median:8.2f} {median / base:6.2f}  {min(values):6.2f} {max(values):6.2f}")


def first_task(command: list[str]) -> float:
    """Seconds from the process's start to that of its flow run's first task."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterStartTime
    from prefect.types._datetime import now

    began, clock = now("UTC"), time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    recent = FlowRunFilter(start_time=FlowRunFilterStartTime(after_=began))
    with get_client(sync_client=True) as client:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:  # Prefect records task runs a moment later
            starts = [run.start_time for run in client.read_task_runs(flow_run_filter=recent) if run.start_time]
            if starts:
                return min(starts).timestamp() - clock
            time.sleep(0.2)
    raise TimeoutError(f"no task of {command[0]} was recorded")


def stop_service() -> None:
    """Ends this benchmark's local_vertex."""
    from prefect_vertex_training.core.home import Home
    from prefect_vertex_training.local_vertex import lifecycle

    lifecycle.stop(Home.default())


if __name__ == "__main__":
    main()
