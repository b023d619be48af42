"""What is recorded of a sweep: once for the whole, and twice for each trial, before its job and after it.

These records are the truth. The search, the tables and the result are made from them, on whatever worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..datasets.data_record import DataRecord
from ..project.settings.search_space import Value
from ..vertex.job_types import JobRequest, Origin

TrialState = Literal["completed", "failed", "pruned"]


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What all trials of a sweep share.

    Attributes:
        id: The sweep's id.
        project: The project's name.
        search: What must not change while it goes on, as text: metric, goal, space and templates.
        metric: Name of the metric.
        goal: `max` or `min`.
        measurement: `last` or `best`.
        image: The image that all trials run, named by its digest.
        arguments: Arguments of the project and the run, before those of each trial.
        origin: What the models are trained from.
        allowed: How many jobs one trial may take.
        data: The data sets that every trial reads.
    """

    id: str
    project: str
    search: str
    metric: str
    goal: str
    measurement: str
    image: str
    arguments: Sequence[str]
    origin: Origin
    allowed: int
    data: Sequence[DataRecord] = ()


@dataclass(frozen=True, slots=True)
class TrialPlace:
    """One place of a trial's fall-back list.

    Attributes:
        region: As "europe-west4".
        bucket: Name of the bucket for output.
        wait: Seconds in which the job must get machines.
        request: The job there, with image and data as they are at the sweep's own place.
    """

    region: str
    bucket: str
    wait: float
    request: JobRequest


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """One trial, as it is recorded before its job.

    Attributes:
        number: From 0, which runs with the project's own values.
        values: The parameters that it uses.
        arguments: Their arguments.
        key: The key of its request for a job.
        request: The job.
        retry: How often a person had retried the sweep.
        places: The fall-back list; empty for none.
        rounds: How often it is gone through.
        ignored: Regions that are left out.
    """

    number: int
    values: Mapping[str, Value]
    arguments: Sequence[str]
    key: str
    request: JobRequest
    retry: int = 0
    places: Sequence[TrialPlace] = ()
    rounds: int = 1
    ignored: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """How a trial ended.

    Attributes:
        number: As in its plan.
        state: How it ended.
        value: The metric; None where there is none.
        points: (step, value) of the metric, in the order of steps.
        reason: Why it failed, or was ended early.
        job: The job's full name.
        seconds: How long the job ran.
        model: Where the model is; empty without one.
        receipt: The model's receipt.
        run: Id of the flow run.
        key: The key of its request for a job, which tells whether this is the end of the same trial.
        source: Where the metric was read: "hypertune", "metrics.json" or "log".
        other_metrics: Names of other numbers that it reported, where the metric is missing.
        retry: As in its plan.
    """

    number: int
    state: TrialState
    value: float | None = None
    points: Sequence[tuple[float, float]] = ()
    reason: str = ""
    job: str = ""
    seconds: float = 0.0
    model: str = ""
    receipt: str = ""
    run: str = ""
    key: str = ""
    source: str = ""
    other_metrics: Sequence[str] = ()
    retry: int = 0


@dataclass(slots=True)
class TrialRecord:
    """A trial as far as it is known.

    Attributes:
        plan: Recorded before its job.
        end: Recorded after it; None as long as it isn't over.
        run: Id of the flow run that runs it now; empty before.
    """

    plan: TrialPlan
    end: TrialEnd | None = None
    run: str = field(default="")

    @property
    def number(self) -> int:
        """As in its plan."""
        return self.plan.number


def best_of(records: Sequence[TrialRecord], goal: str) -> TrialRecord | None:
    """The completed trial with the best metric, the earliest of equal ones; None without one."""
    sign = -1 if goal == "max" else 1
    values = {
        each.number: sign * each.end.value
        for each in records
        if each.end and each.end.state == "completed" and each.end.value is not None
    }
    done = [each for each in records if each.number in values]
    return min(done, key=lambda each: (values[each.number], each.number), default=None)
