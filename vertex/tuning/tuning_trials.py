"""The trials of a tuning job, as the service reports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..client.calls import get, seconds, state_of
from ..client.connection import Connection
from ..job_types import TERMINAL, State

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Trial

_SUCCEEDED, _INFEASIBLE = 4, 5


@dataclass(frozen=True, slots=True)
class TuningTrial:
    """One trial.

    Attributes:
        number: Its id, from 1.
        values: Its parameters.
        state: `running`, `completed`, `failed`, or `pruned`.
        value: The metric of its final measurement; None without one.
        points: (step, value) of its measurements.
        reason: Why it is infeasible.
        job: Its custom job's name.
        seconds: How long it took.
    """

    number: int
    values: Mapping[str, Any]
    state: str
    value: float | None
    points: Sequence[tuple[float, float]]
    reason: str
    job: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TuningState:
    """A tuning job at one moment: its state, the service's error message, and its trials."""

    state: State
    error: str
    trials: Sequence[TuningTrial]

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.state in TERMINAL


def read_tuning(connection: Connection, name: str, metric: str) -> TuningState:
    """Reads a tuning job.

    Args:
        connection: A `TuningConnection`.
        name: The tuning job's full name.
        metric: The metric's name.

    Raises:
        VertexError: There is none of that name, or no answer came (then transient).
    """
    job: Any = get(connection, name)
    trials = [_trial(each, metric) for each in job.trials]
    return TuningState(state_of(job), str(job.error.message) if job.error else "", trials)


def _trial(trial: Trial, metric: str) -> TuningTrial:
    value = next((each.value for each in trial.final_measurement.metrics if each.metric_id == metric), None)
    state = {_SUCCEEDED: "completed", _INFEASIBLE: "failed"}.get(int(trial.state), "running")
    points = [
        (float(each.step_count), found.value)
        for each in trial.measurements
        for found in each.metrics
        if found.metric_id == metric
    ]
    begin, end = seconds(trial.start_time), seconds(trial.end_time)
    return TuningTrial(
        number=int(trial.id),
        values={each.parameter_id: _plain(each.value) for each in trial.parameters},
        state=state,
        value=value if state == "completed" else None,
        points=points,
        reason=trial.infeasible_reason,
        job=trial.custom_job,
        seconds=max(0.0, end - begin) if begin and end else 0.0,
    )


def _plain(value: Any) -> float | int | str:  # noqa: ANN401 - proto-plus gives a float or a text
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
