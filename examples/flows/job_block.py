"""A job of an image that exists already, described by a saved block, in a synchronous and an asynchronous flow.

python examples/flows/job_block.py BLOCK_NAME
"""

from __future__ import annotations

import asyncio
import sys

from prefect import flow
from prefect_vertex_training import VertexTrainingJob


@flow(retries=1)
def run_job(name: str) -> str:
    job = VertexTrainingJob.load(name)
    run = job.trigger()  # a retried flow run finds the same job
    run.wait_for_completion()
    return run.fetch_result().model


@flow
async def run_job_async(name: str) -> str:
    job = await VertexTrainingJob.aload(name)
    run = await job.atrigger()
    await run.await_for_completion()
    return (await run.afetch_result()).model


if __name__ == "__main__":
    print(asyncio.run(run_job_async(sys.argv[1])))
