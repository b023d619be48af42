"""Kills flow processes with SIGKILL at random moments and retries their runs; counts jobs and lines.

    python benchmarks/vertex/flow_kills.py [--kills 100] [--trains 10] [--seed 1]

Uses a real Prefect server, a real local_vertex, and a process for each flow run. The process is killed up to three
times between its start and a moment after its job's end; then the run is set to AwaitingRetry, as Prefect does for
a retry, and executed again. Before some runs the service is told to lose the answer of a create, and its lists are
always half a second late. At the end each run must have exactly one job that succeeded and none that runs, and
Prefect's log of the run must have each of the job's lines exactly once and in order.

`--trains` of the kills hit the whole flow `train`, at any step; the others a flow of the tasks submit and watch.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from killed_runs import HERE, SCRIPT, Report, check_run, killed_run, on_own_server, project, started, states
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import admin


def campaign(home: Home, flows: list[tuple[str, dict[str, Any], int]], log: Path, *, seed: int) -> Report:
    """Kills the processes of these flows, retries their runs, and compares.

    Args:
        home: Home of local_vertex. `VERTEX_TRAINING_HOME` must name it, and `PREFECT_API_URL` a Prefect server.
        flows: Name and parameters of each flow, and the total number of kills of its runs.
        log: File for the processes' output.
        seed: Seed of the random moments.
    """
    report, moments, begin = Report(), random.Random(seed), time.monotonic()
    admin(lifecycle.ensure_running(home), "Switches", {"list_lag_seconds": 0.5})
    with started(log) as starter:
        for name, parameters, kills in flows:
            # Run once without a kill, to learn how long a process lives.
            report.lasted, enough = [], report.kills
            check(home, killed_run(starter, home, name, parameters, moments, report, enough), report)
            report.runs += 1
            enough = report.kills + kills
            while report.kills < enough:
                if moments.random() < 0.3:
                    admin(lifecycle.ensure_running(home), "Switches", {"create_lost": 1})
                run = killed_run(starter, home, name, parameters, moments, report, enough)
                check(home, run, report)
                report.runs += 1
    report.seconds = time.monotonic() - begin
    return report


def check(home: Home, run: UUID, report: Report) -> None:
    """Counts the run's jobs and lines."""
    time.sleep(0.6)  # lists lag
    check_run(run, states(home, run), report)


def main() -> int:
    """Prints the report; returns 1 when anything was lost or duplicated."""
    sys.path.insert(0, str(HERE.parent / "local_vertex"))
    from images import tiny_image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--trains", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with on_own_server("kills-") as (folder, home):
        image = tiny_image(home, folder / "image")
        flows = [
            ("short", {"image": image, "script": SCRIPT, "args": ["1.5"]}, options.kills - options.trains),
            ("train", {"project": str(project(folder / "tiny"))}, options.trains),
        ]
        report = campaign(home, flows, folder / "flows.log", seed=options.seed)
        if not report.is_clean:
            print((folder / "flows.log").read_text()[-5000:])
    print(*report.lines(f"seed {options.seed}"), sep="\n")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
