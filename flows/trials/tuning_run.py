"""A sweep whose trials are made by Vertex AI's tuning service: submitted once, followed, and shown as others are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ...project.settings.sweep_settings import SweepSettings
from ...sweeps.trial_arguments import trial_arguments
from ...sweeps.trial_records import SweepPlan, TrialEnd, TrialPlan, TrialRecord, best_of
from ...tasks.reporting.step_log import step_log
from ...tasks.submit import submit
from ...tasks.tuning.follow_tuning import follow_tuning
from ...vertex.receipt.receipt_document import record_model
from ...vertex.tuning.study_spec import to_tuning_job
from ...vertex.tuning.tuning_connection import TuningConnection
from ...vertex.tuning.tuning_trials import TuningState, TuningTrial
from ..concurrency import submission_turn
from ..step_runner import Steps
from .sweep_page import SweepPage

if TYPE_CHECKING:
    from ...vertex.client.connection import Connection


def run_tuning(
    steps: Steps,
    connection: Connection,
    plan: SweepPlan,
    *,
    settings: SweepSettings,
    first: TrialPlan,
    page: SweepPage,
) -> list[TrialRecord]:
    """Submits the tuning job, or finds it, and follows it to its end; records the best trial's model.

    Args:
        steps: Runs the steps.
        connection: Where it runs.
        plan: The sweep.
        settings: Its settings.
        first: The request whose job every trial gets, with its key.
        page: Shows the trials.

    Returns:
        The trials, in the order of their numbers.

    Raises:
        JobFailed: It ended without success, and no trial has a metric.
        VertexError: It could not be submitted or followed.
    """
    tuning = TuningConnection(connection, to_tuning_job(settings))
    submission_turn(connection)
    job = steps.run(submit, tuning, first.request, first.key, allowed=1, retry=first.retry)
    told: set[int] = set()

    def records(found: TuningState) -> list[TrialRecord]:
        return [_record(each, settings, first) for each in found.trials]

    def show(found: TuningState) -> None:
        known = records(found)
        for each in known:
            if each.end is not None and each.number not in told:
                told.add(each.number)
                value = f"{plan.metric} {each.end.value:.6g}" if each.end.value is not None else each.end.reason
                step_log("sweep")(f"trial {each.number}: {' '.join(each.plan.arguments)}  {value}")
        page.show(known, now=found.ended)

    found = steps.run(follow_tuning, tuning, job, plan.metric, show)
    known = _with_model(connection, plan, records(found))
    page.show(known, now=True)
    return known


def _record(trial: TuningTrial, settings: SweepSettings, first: TrialPlan) -> TrialRecord:
    values = dict(trial.values)
    own = TrialPlan(trial.number, values, trial_arguments(settings, values), first.key, first.request)
    if trial.state == "running":
        return TrialRecord(own)
    state = "completed" if trial.state == "completed" and trial.value is not None else "failed"
    end = TrialEnd(
        trial.number,
        state,
        value=trial.value,
        points=list(trial.points),
        reason=trial.reason,
        job=trial.job,
        seconds=trial.seconds,
        key=first.key,
        source="hypertune",
    )
    return TrialRecord(own, end)


def _with_model(connection: Connection, plan: SweepPlan, known: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials, the best one with its model and a receipt beside it."""
    found = list(known)
    best = best_of(found, plan.goal)
    if best is None or best.end is None or not best.end.job:
        return found
    try:
        receipt = record_model(connection, best.end.job, plan.origin)
    except TrainingError as error:
        step_log("sweep")(f"warning: the best trial's model can't be recorded: {error}")
        return found
    best.end = replace(best.end, model=receipt.model, receipt=receipt.document)
    return found
