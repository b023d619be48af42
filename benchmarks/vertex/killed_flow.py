"""Runs flow runs in processes of their own, one after the other, for whoever kills them: see flow_kills.py.

Reads a flow run's id from each line of stdin, and writes to stdout: the process's number, "begin" when the flow
begins, and "end" with its exit status. The process is forked, so that Prefect is imported only once.
"""

from __future__ import annotations

import os
import sys
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.runtime import flow_run as current_run
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.stop_hook import stop_job
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.tasks.submit import submit
from prefect_vertex_training.tasks.watch import watch
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.job_types import JobRequest
from prefect_vertex_training.vertex.labels import RUN_LABEL
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


FLOWS = {found.name: found for found in (short, train)}


def execute(run_id: str) -> int:
    """Runs a flow run as Prefect's engine does; 0 when it completed."""
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(UUID(run_id))
        name = client.read_flow(flow_run.flow_id).name
    say("begin")
    state = run_flow(FLOWS[name], flow_run=flow_run, parameters=flow_run.parameters, return_type="state")
    return 0 if state is not None and state.is_completed() else 1


def say(word: str) -> None:
    """One line to whoever listens."""
    os.write(1, f"{word}\n".encode())


def main() -> None:
    """Serves until stdin ends."""
    say("ready")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            sys.exit(execute(line.strip()))  # an ordinary end, at which Prefect sends the lines that still wait
        say(f"pid {pid}")
        _, status = os.waitpid(pid, 0)
        say(f"end {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
