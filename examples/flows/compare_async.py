"""The same in an asynchronous flow: the event loop goes on while the trainings run.

python examples/flows/compare_async.py path/to/project
"""

from __future__ import annotations

import asyncio
import sys

from prefect import flow
from prefect_vertex_training import TrainingResult, atrain


@flow
async def compare(project: str, rates: list[float]) -> TrainingResult:
    results = await asyncio.gather(*(atrain(project, args=["--rate", str(rate)]) for rate in rates))
    return min(results, key=lambda result: result.metrics["loss"].lowest)


if __name__ == "__main__":
    print(asyncio.run(compare(sys.argv[1], [0.3, 0.1, 0.03])).model)
