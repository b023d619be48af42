"""What a sweep tells the trials that run in its own process, and learns from them, without Prefect's server between."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from ...sweeps.trial_records import SweepPlan, TrialEnd, TrialRecord
from ...vertex.client.connection import Connection
from ...vertex.job_types import JobRequest
from .trial_judge import Report


@dataclass(slots=True)
class TrialHost:
    """The sweep around one trial.

    Attributes:
        connection: To where the jobs run: all trials share its clients.
        plan: The sweep.
        record: The trial; it gets the id of its flow run.
        retries: How often a person has retried the sweep, or a run around it.
        report: Is asked about each value of the metric.
        near: Brings image and data to a place of the trial's fall-back list, by its index; None without a list.
        end: How the trial ended, once that is recorded.
    """

    connection: Connection
    plan: SweepPlan
    record: TrialRecord
    retries: int
    report: Report
    near: Callable[[int], JobRequest] | None = None
    end: TrialEnd | None = None


HOST: ContextVar[TrialHost | None] = ContextVar("host", default=None)
"""The sweep around the trial that runs in this context. A trial that is retried alone, in another process, has none."""
