"""Prefect hook that cancels the job of a run that was cancelled or crashed."""

from __future__ import annotations

import logging
import time
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger

from ..tasks.stopping.open_jobs import OpenJobs
from ..tasks.stopping.run_places import noted_places
from ..tasks.stopping.stop_job import is_stopped, stop
from ..vertex.client.connection import Connection
from ..vertex.job_types import SubmittedJob
from ..vertex.labels import RUN_LABEL
from ..vertex.submit.intent import intent_text
from .block_parameters import VertexParameter, connect, connect_in


def stop_job(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Cancels the job of a run that was cancelled or crashed, waits a little for its end, and logs the result.

    Prefect usually calls it in another process than the run's, which knows only the run's id and parameters.
    """
    logger = flow_run_logger(flow_run, flow).getChild("stop")

    def log(line: str, level: int = logging.INFO) -> None:
        logger.log(level, "%s", line, extra={"step": "stop"})

    def cancel(connection: Connection) -> list[SubmittedJob]:
        from ..vertex.submit.cancellation import cancel_by_key

        run = str(flow_run.id)
        # The run may have ended just after creating a job, so one that is not listed yet is waited for.
        recorded = intent_text(run, time.time())
        return cancel_by_key(connection, run, label=RUN_LABEL, recorded=recorded, wait=0.0, enough=is_stopped)

    if OpenJobs(str(flow_run.id)).take_none_left():
        log("the run's own process has asked its job to end")
        return
    try:
        connections = connections_of(flow.validate_parameters(flow_run.parameters).get("vertex"), str(flow_run.id))
    except Exception as error:  # noqa: BLE001 - the run's log does not show an exception in a hook
        log(
            f"this run's training job may still run and cost, because Vertex AI can't be reached: {error}. "
            "End it: vertex-training orphans --cancel",
            logging.ERROR,
        )
        return
    for connection in connections:
        stop(connection, cancel, log=log, warn=lambda line: log(line, logging.ERROR))


def connections_of(vertex: VertexParameter | None, run: str) -> list[Connection]:
    """The connections to every region in which a run may have jobs; nothing is sent yet.

    Args:
        vertex: The run's block; None for this machine.
        run: The flow run's id.
    """
    own = connect(vertex)
    return [own, *(connect_in(vertex, region, bucket) for region, bucket in noted_places(run) if region != own.region)]
