"""Executes flow runs one after the other, each in its own process, which flow_kills.py kills.

Reads the id of a flow run from each line of stdin, and writes to stdout: the process id, "begin" when the flow begins,
and "end" with the exit status. Processes are forked, so that Prefect is imported only once.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.runtime import flow_run as current_run
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.step_runner import Steps
from prefect_vertex_training.flows.stop_hook import stop_job
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.flows.train_job import run_job
from prefect_vertex_training.run_history import run_scope
from prefect_vertex_training.tasks.submit import submit
from prefect_vertex_training.tasks.watch import watch
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.labels import RUN_LABEL
from prefect_vertex_training.vertex.pricing.cost_labels import cost_labels
from prefect_vertex_training.vertex.pricing.hourly_rate import HourlyRate
from prefect_vertex_training.vertex.submit.submission import job_key


@flow(name="short", on_cancellation=[stop_job], on_crashed=[stop_job])
def short(image: str, script: str, args: list[str]) -> str:
    """The two tasks of step 5 and nothing else."""
    connection = Connection.local(Home.default())
    run = str(current_run.id)
    request = JobRequest(
        display_name="short",
        image=image,
        output=f"gs://{connection.bucket}/short/{run}",
        command=["python3", "-c", script],
        args=args,
        labels={RUN_LABEL: run},
    )
    job = submit(connection, request, job_key(run, "submit"))
    return watch(connection, job).name


@flow(name="capped", on_crashed=[stop_job])
def capped(image: str, script: str, rate: float, cap: float) -> str:
    """Step 5 of the train flow, for jobs whose cost is capped."""
    connection = Connection.local(Home.default())
    run = str(current_run.id)
    request = JobRequest(
        display_name="capped",
        image=image,
        output=f"gs://{connection.bucket}/capped/{run}",
        command=["python3", "-c", script],
        labels={RUN_LABEL: run, **cost_labels(HourlyRate(rate, (), "benchmark"), cap)},
    )
    scope = run_scope()
    key = job_key(scope.key, "submit")
    return run_job(Steps(), connection, request, key, allowed=3, retry=scope.retries).name


FLOWS = {found.name: found for found in (short, capped, train)}


def execute(run_id: str) -> int:
    """Runs a flow run as Prefect's engine does; 0 when it completed."""
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(UUID(run_id))
        name = client.read_flow(flow_run.flow_id).name
    say("begin")
    state = run_flow(FLOWS[name], flow_run=flow_run, parameters=flow_run.parameters, return_type="state")
    return 0 if state is not None and state.is_completed() else 1


def say(word: str) -> None:
    """Writes one line to stdout."""
    os.write(1, f"{word}\n".encode())


def main() -> None:
    """Executes runs until stdin ends."""
    # As large as Prefect itself, and imported by each run that reaches its job.
    import_module("google.cloud.aiplatform_v1.services.job_service.client")
    import_module("google.cloud.logging_v2.services.logging_service_v2.client")
    say("ready")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            sys.exit(execute(line.strip()))  # a normal exit, on which Prefect sends its pending log lines
        say(f"pid {pid}")
        _, status = os.waitpid(pid, 0)
        say(f"end {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
