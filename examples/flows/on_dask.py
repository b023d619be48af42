"""The same on a Dask cluster, whose workers may be on other machines: `pip install prefect-dask`.

    python examples/flows/on_dask.py path/to/project

The project is a folder that every worker sees at the same path, or a git repository's address. Dask sends what a task
gets and returns to other processes: project, arguments and results can be sent, a `Connection` can't.
"""

from __future__ import annotations

import sys

from prefect import flow, task
from prefect_dask import DaskTaskRunner
from prefect_vertex_training import TrainingResult, train


@task(task_run_name="rate {rate}")
def with_rate(project: str, rate: float) -> TrainingResult:
    return train(project, args=["--rate", str(rate)])


@flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}))
def compare(project: str, rates: list[float]) -> TrainingResult:
    results = [future.result() for future in with_rate.map(project, rates)]
    return min(results, key=lambda result: result.metrics["loss"].lowest)


if __name__ == "__main__":
    print(compare(sys.argv[1], [0.3, 0.1]).model)
