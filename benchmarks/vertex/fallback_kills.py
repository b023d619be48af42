"""Kills runs with a fall-back list with SIGKILL at random moments, and retries them: real Prefect, real local_vertex.

    python benchmarks/vertex/fallback_kills.py [--kills 20] [--seed 1]

Three regions are short of machines, refuse for quota, keep jobs waiting, lose answers of creates and list jobs half a
second late, at random. Each run is killed up to three times, then set to AwaitingRetry, as Prefect does for a retry,
and executed again. At the end each run must have exactly one job that succeeded over all regions, none that runs, a
model, and each of the job's lines once.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

from killed_runs import Report, check_run, killed_run, on_own_server, project, started
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import set_faults
from prefect_vertex_training.local_vertex.endpoint import store_path
from prefect_vertex_training.local_vertex.store.store import Store

REGIONS = ("us-central1", "europe-west4", "asia-east1")
WAIT = 3
LISTED = [f"region={region},wait={WAIT}s" for region in REGIONS[1:]]
CALM: dict[str, Any] = {
    f"{name}@{region}": 0
    for name in ("stock_out", "resource_exhausted", "create_lost", "pending_seconds")
    for region in REGIONS
}


def trouble(moments: random.Random) -> dict[str, Any]:
    """The faults of one run; the last region always has machines in the end."""
    faults = dict(CALM)
    for region in REGIONS[: moments.randint(1, 2)]:
        kind = moments.choice(["stock_out", "resource_exhausted", "pending_seconds"])
        faults[f"{kind}@{region}"] = 60 if kind == "pending_seconds" else 2
    if moments.random() < 0.4:
        faults[f"create_lost@{moments.choice(REGIONS)}"] = 1
    return faults


def campaign(home: Home, folder: Path, log: Path, *, kills: int, seed: int) -> tuple[Report, Counter[str]]:
    """Kills runs until there were so many kills, and compares; the counter has the regions that trained.

    Args:
        home: Home of local_vertex. `VERTEX_TRAINING_HOME` must name it, and `PREFECT_API_URL` a Prefect server.
        folder: For the project.
        log: File for the processes' output.
        kills: How many.
        seed: Seed of the random moments and faults.
    """
    report, moments, where, begin = Report(), random.Random(seed), Counter[str](), time.monotonic()
    service = lifecycle.ensure_running(home, regions=REGIONS[1:], faults={"list_lag_seconds": 0.5})
    parameters = {"project": str(project(folder)), "fallback": LISTED}
    with started(log) as starter:
        set_faults(service, CALM)
        check(home, killed_run(starter, home, "train", parameters, moments, report, 0), report, where)
        report.runs += 1
        while report.kills < kills:
            set_faults(service, trouble(moments))
            check(home, killed_run(starter, home, "train", parameters, moments, report, kills), report, where)
            report.runs += 1
    report.seconds = time.monotonic() - begin
    return report, where


def jobs_of(home: Home, run: UUID) -> list[tuple[str, str]]:
    """Region and state of each of the run's jobs, in all regions."""
    store = Store(store_path(home), read_only=True)
    try:
        found = [record for _, record in store.find(limit=1000) if record.labels.get("prefect_flow_run") == str(run)]
        return [(record.region, record.state.removeprefix("JOB_STATE_")) for record in found]
    finally:
        store.close()


def check(home: Home, run: UUID, report: Report, where: Counter[str]) -> None:
    """Counts the run's jobs and lines, and where it trained."""
    found = jobs_of(home, run)
    where.update(region for region, state in found if state == "SUCCEEDED")
    check_run(run, [state for _, state in found], report)


def main() -> int:
    """Prints the report; returns 1 when anything was lost or duplicated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with on_own_server("fallback-kills-") as (folder, home):
        log = folder / "flows.log"
        report, where = campaign(home, folder / "tiny", log, kills=options.kills, seed=options.seed)
        if not report.is_clean:
            print(log.read_text()[-5000:])
    print(*report.lines(f"trained in {dict(where)}"), sep="\n")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
