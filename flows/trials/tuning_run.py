"""A sweep whose trials are made by Vertex AI's tuning service: submitted once, followed, and shown as others are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ...project.settings.sweep_settings import SweepSettings
from ...sweeps.metric_values import MetricLog
from ...sweeps.stop_rules import NO_METRIC, refuse_missing_metric
from ...sweeps.trial_arguments import trial_arguments
from ...sweeps.trial_records import SweepPlan, TrialEnd, TrialPlan, TrialRecord, best_of
from ...tasks.reporting.step_log import step_log
from ...tasks.submit import submit
from ...tasks.tuning.follow_tuning import follow_tuning
from ...vertex.job_types import LogLine
from ...vertex.receipt.receipt_document import record_model
from ...vertex.tuning.study_spec import to_tuning_job
from ...vertex.tuning.tuning_connection import TuningConnection
from ...vertex.tuning.tuning_trials import TuningState, TuningTrial
from ...vertex.watch.watch import watch
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
        VertexError: It could not be submitted or followed, or its trials print no metric of that name.
    """
    tuning = TuningConnection(connection, to_tuning_job(settings))
    submission_turn(connection)
    job = steps.run(submit, tuning, first.request, first.key, allowed=1, retry=first.retry)
    trials = _Trials(connection, plan, settings=settings, first=first, page=page)
    found = steps.run(follow_tuning, tuning, job, plan.metric, trials.show)
    known = _with_model(connection, plan, trials.records(found))
    page.show(known, now=True)
    return known


class _Trials:
    """The trials of a tuning job as records, told as they end."""

    def __init__(
        self, connection: Connection, plan: SweepPlan, *, settings: SweepSettings, first: TrialPlan, page: SweepPage
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._settings = settings
        self._first = first
        self._page = page
        self._told: set[int] = set()
        self._unmeasured: dict[int, Sequence[str]] = {}

    def show(self, found: TuningState) -> None:
        """Tells of trials that have ended, and shows all.

        Raises:
            VertexError: The first trials printed no metric of the name that is searched.
        """
        for trial in found.trials:
            if trial.state == "failed" and trial.number not in self._told and not trial.points:
                self._look_for_metric(trial)
        known = self.records(found)
        for each in known:
            if each.end is not None and each.number not in self._told:
                self._told.add(each.number)
                value = f"{self._plan.metric} {each.end.value:.6g}" if each.end.value is not None else each.end.reason
                step_log("sweep")(f"trial {each.number}: {' '.join(each.plan.arguments)}  {value}")
        self._page.show(known, now=found.ended)
        refuse_missing_metric(known, self._plan)

    def records(self, found: TuningState) -> list[TrialRecord]:
        """The trials as records."""
        known = [_record(each, self._settings, self._first, self._plan.metric) for each in found.trials]
        for each in known:
            if each.end is not None and each.number in self._unmeasured:
                reason, others = f"{NO_METRIC} {self._plan.metric}", self._unmeasured[each.number]
                each.end = replace(each.end, reason=reason, other_metrics=others)
        return known

    def _look_for_metric(self, trial: TuningTrial) -> None:
        """Notes what a trial without a measurement printed instead, if its job succeeded."""
        log = MetricLog(self._plan.metric)

        def read(lines: Sequence[LogLine]) -> None:
            for line in lines:
                log.read(line.message, line.fields)

        try:
            own = partial(watch, self._connection, on_state=lambda _: None, on_lines=read)
            outcome = own(trial.job) if trial.job else None
        except TrainingError:  # the service's own reason is told then
            return
        if outcome is not None and outcome.state == "JOB_STATE_SUCCEEDED" and not log.points:
            self._unmeasured[trial.number] = list(log.names)


def _record(trial: TuningTrial, settings: SweepSettings, first: TrialPlan, metric: str) -> TrialRecord:
    values = dict(trial.values)
    own = TrialPlan(trial.number, values, trial_arguments(settings, values), first.key, first.request)
    if trial.state == "running":
        return TrialRecord(own)
    useful = trial.value is not None and math.isfinite(trial.value)
    state = "completed" if trial.state == "completed" and useful else "failed"
    reason = trial.reason if useful or trial.value is None else f"{metric} is {trial.value}, which is no result"
    end = TrialEnd(
        trial.number,
        state,
        value=trial.value if useful else None,
        points=list(trial.points),
        reason=reason,
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
