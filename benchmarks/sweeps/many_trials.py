"""A sweep with many recorded trials: how long it takes to go on, what its page costs, and how much memory that takes.

    python benchmarks/sweeps/many_trials.py [--trials 1000]

The records are written as a sweep writes them, into a folder. Nothing is trained, and no server is asked.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from prefect.filesystems import LocalFileSystem
from prefect_vertex_training.flows.trials.record_store import SweepRecords
from prefect_vertex_training.flows.trials.sweep_page import SweepPage
from prefect_vertex_training.flows.trials.trial_loop import restored
from prefect_vertex_training.project.settings.search_space import read_space
from prefect_vertex_training.project.settings.sweep_settings import SweepSettings
from prefect_vertex_training.sweeps.study_search import Search, import_optuna
from prefect_vertex_training.sweeps.trial_arguments import trial_arguments
from prefect_vertex_training.sweeps.trial_records import SweepPlan, TrialEnd, TrialPlan
from prefect_vertex_training.vertex.job_types import JobRequest, Origin

T = TypeVar("T")
SPACE = {"lr": {"log": [1e-5, 1e-1]}, "depth": {"int": [2, 60]}, "kind": ["network", "forest"]}
JOB = "projects/1/locations/us-central1/customJobs/"


def timed(what: str, work: Callable[[], T]) -> T:
    """Does it, and prints how long it took and the process's peak memory."""
    begin = time.perf_counter()
    found = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<52} {time.perf_counter() - begin:>8.2f} s {peak:>8.0f} MB peak", flush=True)
    return found


def write(records: SweepRecords, settings: SweepSettings, count: int) -> SweepPlan:
    """Records a sweep in which each trial has reported ten steps."""
    plan = SweepPlan(
        records.sweep, "p", "{}", "score", "max", "last", "image@sha256:0", [], Origin("f", "", "l"), allowed=3
    )
    records.write_plan(plan)
    search = Search(SweepSettings(space=settings.space, algorithm="random", trials=count), {})
    for number in range(count):
        values = search.propose(number) or {}
        request = JobRequest(display_name=f"p trial {number}", output=f"gs://b/p/{number}", image=plan.image)
        records.write_trial(TrialPlan(number, values, trial_arguments(settings, values), f"k{number}", request))
        points = [(float(step), number / count + step / 1000) for step in range(10)]
        end = TrialEnd(number, "completed", points[-1][1], points, job=f"{JOB}{number}", seconds=60.0, key=f"k{number}")
        records.write_end(end)
    return plan


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    count = parser.parse_args().trials
    settings = SweepSettings(metric="score", goal="max", trials=count, space=read_space(SPACE))
    timed("import of Optuna", import_optuna)
    with tempfile.TemporaryDirectory() as scratch:
        records = SweepRecords("s1", LocalFileSystem(basepath=scratch))
        plan = timed(f"{count} trials recorded, two small files each", lambda: write(records, settings, count))
        size = sum(file.stat().st_size for file in Path(scratch).rglob("*.json"))
        known = timed("all read again (--add, --continue, a Retry)", records.trials)
        search = Search(settings, {})
        timed("the search rebuilt from them", lambda: restored(search, known))
        timed("20 more trials proposed", lambda: [search.propose(count + number) for number in range(20)])
        page = SweepPage(plan, 1.0, frozenset({"lr"}), lambda job: f"https://console/{job}")
        text = timed("the page made", lambda: page.markdown(known))
    print(f"{len(known)} trials, {size / 1e6:.1f} MB of records, a page of {len(text) / 1e3:,.0f} kB")


if __name__ == "__main__":
    main()
