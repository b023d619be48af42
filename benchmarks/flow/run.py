"""How much time the train flow itself takes when nothing has changed, beside a Prefect flow of as many empty tasks.

    python benchmarks/flow/run.py [--runs 7]

Starts a Prefect server of its own, runs the digits example once so that everything is cached, then measures
in one process, in turn: a flow of as many empty tasks as `train` has steps, and `train` itself. The time is
the flow run's own, from begin to end; the seconds in which the training script runs (the job's start to its
end as a clock in this process sees them: the step `watch`) are taken out.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each flow")
    runs = parser.parse_args().runs
    folder = Path(tempfile.mkdtemp(prefix="flow-benchmark-"))
    os.environ |= {"VERTEX_TRAINING_HOME": str(folder / "home"), "PREFECT_HOME": str(folder / "prefect")}
    logging.disable(logging.WARNING)
    try:
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            measure(runs)
    finally:
        from prefect_vertex_training.core.home import Home
        from prefect_vertex_training.local_vertex import lifecycle

        lifecycle.stop(Home.default())
        shutil.rmtree(folder, ignore_errors=True)


def measure(runs: int) -> None:
    """Runs both flows in turn and prints medians."""
    from prefect import flow, task
    from prefect_vertex_training.flows.train import train

    @task
    def empty() -> None: ...

    first = train(EXAMPLE, args=["--epochs", "1"])

    @flow
    def empty_tasks() -> None:
        for _ in first.steps:
            empty()

    empty_tasks()
    empties, flows, watched = [], [], []
    for _ in range(runs):
        empties.append(seconds(empty_tasks))
        begin = time.perf_counter()
        result = train(EXAMPLE, args=["--epochs", "1"])
        total = time.perf_counter() - begin
        watch = next(step.seconds for step in result.steps if step.name == "watch")
        flows.append(total - watch)
        watched.append(watch)
    base = statistics.median(empties)
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, medians of {runs} runs, {len(first.steps)} steps\n")
    print(f"{'':34} {'seconds':>8} {'ratio':>6}")
    for name, values in (
        ("a flow of as many empty tasks", empties),
        ("train, all cached, without the job", flows),
        ("  the job (step watch)", watched),
    ):
        median = statistics.median(values)
        print(f"{name:34} {median:8.2f} {median / base:6.2f}")
    print("\nsteps of the last run:", ", ".join(f"{s.name} {s.state} {s.seconds:.2f}" for s in result.steps))


def seconds(action: object) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    action()  # pyright: ignore[reportCallIssue]
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
