"""A flow of one's own from the single steps, with a test of the model at its end.

    python examples/flows/own_steps.py path/to/project

Each step is a Prefect task with retries; a retried flow run goes on at the one that failed. What a step takes:

    verify    the project, and the script's arguments
    freeze    the project
    build     a function that returns the plan of the image, called when the step begins
    push      the same, and the built image
    submit    a connection to Vertex AI, the job, and a key that stays the same when the flow run is retried
    watch     the connection, and the submitted job
    receipt   the connection, and the outcome
"""

from __future__ import annotations

import json
import sys
from functools import cache, partial
from pathlib import Path

from prefect import flow, task
from prefect.runtime import flow_run
from prefect_vertex_training import (
    Connection,
    JobRequest,
    Origin,
    Project,
    build,
    freeze,
    job_key,
    plan_image,
    push,
    receipt,
    submit,
    verify,
    watch,
)


@task
def check(model: str, files: list[str]) -> bool:
    print(f"{model} has {', '.join(files)}")
    return bool(files)


@flow
def own_steps(folder: str, epochs: int = 1) -> str:
    project = Project.open(Path(folder))
    arguments = ["--epochs", str(epochs)]
    verify(project, arguments)
    lock = freeze(project)
    plan = cache(partial(plan_image, project, lock))
    image = push(plan, build(plan))

    connection = Connection.local()  # or VertexAI.load("training").connection()
    request = JobRequest(
        display_name=project.settings.name,
        image=image.reference,
        output=f"gs://{connection.bucket}/{project.settings.name}/{flow_run.id}",
        args=arguments,
    )
    job = submit(connection, request, job_key(str(flow_run.id), image.digest, *arguments))
    outcome = watch(connection, job)
    found = receipt(connection, outcome, Origin(fingerprint=project.fingerprint, requirements=lock.digest))
    check(found.model, [file.path for file in found.files])
    return json.dumps({"model": found.model, "seconds": outcome.seconds})


if __name__ == "__main__":
    print(own_steps(sys.argv[1]))
