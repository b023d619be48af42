"""One trial as a flow run of its own, which can be retried alone: its job, its model, its metric."""

# No `from __future__ import annotations` here, for the reason given in train.py.

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as current_run
from prefect.states import Completed

from ...core.errors import JobFailed, ModelMissing, ProjectError, TrainingError
from ...core.output_folders import model_folder
from ...run_history import retries_within, run_scope
from ...sweeps.metric_values import (
    HYPERTUNE_FILE,
    METRICS_FILE,
    document_value,
    hypertune_names,
    hypertune_points,
    measured,
    thinned,
)
from ...sweeps.stop_rules import NO_METRIC
from ...sweeps.trial_records import SweepPlan, TrialEnd, TrialPlan
from ...tasks.receipt import receipt_step
from ...tasks.reporting.artifacts import artifacts_of, one_page
from ...tasks.watch import WatchProgress
from ...vertex.client.connection import Connection
from ...vertex.job_types import JobRequest, Metric, Outcome, Receipt
from ...vertex.labels import RUN_LABEL
from ...vertex.submit.submission import look_up
from ..block_parameters import VertexParameter, connect
from ..form import Picker, titled
from ..step_runner import Steps
from ..stop_hook import stop_job
from ..train_job import run_job
from .record_store import END, SweepRecords
from .trial_host import HOST, TrialHost
from .trial_judge import TrialJudge

_BAR_EVERY = 15.0
"""Seconds between updates of a trial's progress bar: many trials run at once."""


@flow(name="trial", on_cancellation=[stop_job], on_crashed=[stop_job])
def trial(
    sweep: Annotated[str, titled("Sweep")],
    number: Annotated[int, titled("Trial")],
    vertex: Annotated[VertexParameter | None, Picker(), titled("Vertex AI")] = None,
) -> Any:  # noqa: ANN401 - a TrialEnd, or a state that holds one
    """Runs one trial of a sweep, or finishes it. A Retry by a person starts another job, as for a training.

    Args:
        sweep: The sweep's id.
        number: The trial's number.
        vertex: Where the job runs; without one on this machine.

    Raises:
        TrainingError: One line: what was wrong, where, and the next step.
    """
    records, host = SweepRecords(sweep), HOST.get()
    plan, own = (host.plan, host.record.plan) if host else _recorded(records, number)
    run = str(current_run.id)
    if host:
        host.record.run = run
    connection = host.connection if host else connect(vertex)
    steps = Steps(bar_every=_BAR_EVERY)
    steps.subject = f"{plan.project} trial {number}"
    retry = retries_within(host.retries) if host else run_scope().retries
    with (
        artifacts_of(plan.project),
        one_page("trial", "The trial's job, its metrics, and its model"),
        _bar_closed(steps),
    ):
        try:
            end = _run(steps, connection, vertex, plan, own, host=host, run=run, retry=retry)
        except TrainingError as error:
            if _is_final(error):
                failed = TrialEnd(
                    number, "failed", reason=str(error), run=run, key=own.key, retry=retry, job=_job_of(steps)
                )
                _record(records, failed, host)
            raise
    _record(records, end, host)
    return _state(end)


# As for `train`.
trial.result_serializer = END


def _recorded(records: SweepRecords, number: int) -> tuple[SweepPlan, TrialPlan]:
    """What is recorded of a trial that is retried alone.

    Raises:
        ProjectError: Nothing is.
    """
    plan, record = records.plan(), records.trial(number)
    if plan is None or record is None:
        raise ProjectError(
            f"trial {number} of the sweep {records.sweep} is not recorded",
            where="Prefect's result storage",
            next_step="Run it where the sweep's records are",
        )
    return plan, record.plan


@contextmanager
def _bar_closed(steps: Steps) -> Iterator[None]:
    """Gives the progress bar, if the trial took long enough for one, its last text."""
    whole = False
    try:
        yield
        whole = True
    finally:
        steps.progress.close("finished" if whole else "ended without a model", whole=whole)


def _record(records: SweepRecords, end: TrialEnd, host: TrialHost | None) -> None:
    records.write_end(end)
    if host:
        host.end = end


def _run(
    steps: Steps,
    connection: Connection,
    vertex: VertexParameter | None,
    plan: SweepPlan,
    own: TrialPlan,
    *,
    host: TrialHost | None,
    run: str,
    retry: int,
) -> TrialEnd:
    report = host.report if host else None
    judge = TrialJudge(connection, own.request.output, plan.metric, report)
    followed: list[WatchProgress] = []

    def watching() -> WatchProgress:
        followed.append(WatchProgress(judge))
        return followed[-1]

    def watching_at(there: Connection, request: JobRequest) -> WatchProgress:
        nonlocal judge
        judge = TrialJudge(there, request.output, plan.metric, report)
        return watching()

    request: JobRequest = replace(own.request, labels={**own.request.labels, RUN_LABEL: run})
    if own.places:
        from .listed_trial import run_listed_trial

        connection, request, outcome = run_listed_trial(
            steps,
            vertex,
            own,
            run=run,
            allowed=plan.allowed,
            retry=retry,
            near=host.near if host else None,
            watching=watching_at,
        )
    else:
        outcome = run_job(steps, connection, request, own.key, allowed=plan.allowed, retry=retry, watching=watching)
    ended = TrialEnd(
        own.number,
        "pruned",
        job=outcome.name,
        seconds=outcome.seconds,
        run=run,
        key=own.key,
        retry=retry,
        points=thinned(judge.log.points),
    )
    if followed[-1].ended_early:
        value = measured(judge.log.points, best=True, maximize=plan.goal == "max")
        return replace(ended, reason=followed[-1].ended_early, value=_finite(value))
    outcome = _with_metric(outcome, plan, judge)
    receipt: Receipt = steps.run(
        receipt_step(connection, request), connection, outcome, replace(plan.origin, flow_run=run)
    )
    return _measured(connection, plan, judge, outcome, replace(ended, model=receipt.model, receipt=receipt.document))


def _with_metric(outcome: Outcome, plan: SweepPlan, judge: TrialJudge) -> Outcome:
    """The outcome with the metric that the log has, also where it stands in no JSON line."""
    values = [point.value for point in judge.log.points if math.isfinite(point.value)]
    if not values or plan.metric in outcome.metrics:
        return outcome
    return replace(outcome, metrics={**outcome.metrics, plan.metric: Metric(values[-1], min(values), max(values))})


def _measured(
    connection: Connection, plan: SweepPlan, judge: TrialJudge, outcome: Outcome, ended: TrialEnd
) -> TrialEnd:
    """The end of a trial whose job succeeded: with the metric, or failed without a usable one."""
    output = look_up(connection, outcome.name).output
    hypertune = _text(connection, f"{output.rstrip('/')}/{HYPERTUNE_FILE}")
    document = _text(connection, f"{model_folder(output)}/{METRICS_FILE}")
    reported = hypertune_points(hypertune, plan.metric)
    value_of_document, names = document_value(document, plan.metric)
    options = {"best": plan.measurement == "best", "maximize": plan.goal == "max"}
    found = {
        "hypertune": measured(reported, **options),
        "metrics.json": value_of_document,
        "log": measured(judge.log.points, **options),
    }
    source, value = next(((name, value) for name, value in found.items() if value is not None), ("", None))
    ended = replace(ended, source=source, points=thinned(judge.log.points or reported))
    if value is None:
        others = list(dict.fromkeys([*hypertune_names(hypertune), *names, *judge.log.names]))
        return replace(ended, state="failed", reason=f"{NO_METRIC} {plan.metric}", other_metrics=others[:50])
    if not math.isfinite(value):
        return replace(ended, state="failed", reason=f"{plan.metric} is {value}, which is no result")
    return replace(ended, state="completed", value=value)


def _state(end: TrialEnd) -> TrialEnd | State[TrialEnd]:
    """What the flow returns: a pruned trial is told from others in Prefect's list of runs, and so is a useless one."""
    if end.state == "completed":
        return end
    name = "Pruned" if end.state == "pruned" else "Unusable"
    return Completed(name=name, message=end.reason, data=end)


def _is_final(error: TrainingError) -> bool:
    """Whether the job has ended for good, so that its trial has failed."""
    return isinstance(error, (JobFailed, ModelMissing)) or not error.transient


def _job_of(steps: Steps) -> str:
    submitted = steps.results.get("submit")
    return submitted.name if submitted else ""


def _text(connection: Connection, uri: str) -> str:
    found = connection.models.document(uri)
    return found.data.decode(errors="replace") if found else ""


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
