"""Trains one project with several learning rates at once, and returns the run with the lowest loss.

    python examples/flows/compare.py path/to/project

The project's script has an option --rate and prints JSON lines such as {"loss": 0.3}. Each training is a flow run
within a task, so that it has a page of its own and one that failed does not end the others.
"""

from __future__ import annotations

import sys

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner
from prefect_vertex_training import TrainingResult, train


@task(task_run_name="rate {rate}")
def with_rate(project: str, rate: float) -> TrainingResult:
    return train(project, args=["--rate", str(rate)])


@flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
def compare(project: str, rates: list[float]) -> TrainingResult:
    results = with_rate.map(project, rates).result()
    return min(results, key=lambda result: result.metrics["loss"].lowest)


if __name__ == "__main__":
    best = compare(sys.argv[1], [0.3, 0.1, 0.03])
    print(best.metrics["loss"], best.model)
