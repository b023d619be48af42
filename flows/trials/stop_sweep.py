"""Prefect hook that cancels the jobs of all trials of a sweep that was cancelled or crashed."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger

from ...vertex.job_types import TERMINAL
from ..block_parameters import connect
from ..stop_hook import connections_of


def stop_sweep(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Cancels the jobs of trials that still run, waits for their ends, and logs how many have confirmed it.

    Prefect usually calls it in another process than the run's, which knows only the run's id and parameters.
    """
    logger = flow_run_logger(flow_run, flow).getChild("stop")
    try:
        vertex, trials = flow.validate_parameters(flow_run.parameters).get("vertex"), _running_trials(flow_run.id)
        connection = connect(vertex)
        regions = {each.region: each for run in trials for each in connections_of(vertex, str(run))[1:]}
        stopped = [_stop_jobs(each, trials) for each in (connection, *regions.values())]
        stopped.append(_stop_tuning(connection, flow_run.id))
        ended, live = (sum(counts) for counts in zip(*stopped, strict=True))
    except Exception as error:  # noqa: BLE001 - the run's log does not show an exception in a hook
        text = f"jobs of this sweep's trials may still run and cost, because they can't be cancelled: {error}. "
        logger.log(logging.ERROR, "%sEnd them: vertex-training orphans --cancel", text, extra={"step": "stop"})
        return
    if ended or live:
        level = logging.WARNING if live else logging.INFO
        text = f"{ended} of {ended + live} running trials have confirmed their end"
        logger.log(level, "%s", text, extra={"step": "stop"})


def _running_trials(run: UUID) -> list[UUID]:
    """The flow runs of this sweep's trials that have not ended by themselves."""
    wanted = FlowRunFilter(
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(not_any_=[StateType.COMPLETED, StateType.FAILED])),
    )
    with get_client(sync_client=True) as client:
        return [found.id for found in client.read_flow_runs(flow_run_filter=wanted)]


def _stop_tuning(connection: Any, run: UUID) -> tuple[int, int]:  # noqa: ANN401 - a Connection
    """The same for the tuning job of a sweep whose trials Vertex AI makes, which ends them."""
    from google.cloud.aiplatform_v1.types import HyperparameterTuningJob

    from ...vertex.tuning.tuning_connection import TuningConnection

    return _stop_jobs(TuningConnection(connection, HyperparameterTuningJob()), [run])


def _stop_jobs(connection: Any, runs: list[UUID]) -> tuple[int, int]:  # noqa: ANN401 - a Connection
    """How many jobs have ended, and how many have not yet."""
    from ...vertex.labels import RUN_LABEL
    from ...vertex.submit.cancellation import await_end, cancel_by_key

    limited = connection.within(20.0)
    jobs = [job for run in runs for job in cancel_by_key(limited, str(run), label=RUN_LABEL, wait=0.0)]
    ended = [job.state in TERMINAL for job in await_end(connection, jobs, 5.0)]
    return sum(ended), len(ended) - sum(ended)
