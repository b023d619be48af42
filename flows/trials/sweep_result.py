"""The result of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...sweeps.trial_records import TrialRecord
from ..result import StepReport


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One trial.

    Attributes:
        number: From 0, which ran with the project's own values.
        state: `completed`, `failed` or `pruned`.
        parameters: Its parameters; empty for trial 0.
        arguments: All arguments of the script in it.
        metric: The metric's value; None without one.
        seconds: How long its job ran.
        cost: What that cost about, in USD; None where the price is not known, or on this machine.
        job: Its job's full name.
        model: Where its model is; empty without one.
        receipt: The model's receipt.
        run: Its flow run's id.
        reason: Why it failed, or was ended early.
    """

    number: int
    state: str
    parameters: dict[str, Any]
    arguments: list[str]
    metric: float | None
    seconds: float
    cost: float | None
    job: str
    model: str
    receipt: str
    run: str
    reason: str


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found.

    Attributes:
        sweep: The sweep's id, by which it goes on.
        metric: Name of the metric.
        goal: `max` or `min`.
        image: The image that all trials ran, by digest.
        best: The best trial.
        trials: All trials, in the order of their numbers.
        ended: Why no further trial was begun.
        steps: The steps before the trials, in the order of their run.
        seconds: How long the sweep took.
        links: Addresses of pages for a browser: the `run`, and the `best` trial's run.
    """

    sweep: str
    metric: str
    goal: str
    image: str
    best: TrialResult
    trials: list[TrialResult]
    ended: str = ""
    steps: list[StepReport] = field(default_factory=list)
    seconds: float = 0.0
    links: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values for JSON; seconds are rounded to milliseconds."""
        data = asdict(self)
        data["seconds"] = round(self.seconds, 3)
        for each in (*data["steps"], *data["trials"], data["best"]):
            each["seconds"] = round(each["seconds"], 3)
        return data


def trial_result(record: TrialRecord, usd_per_hour: float | None, before: Sequence[str]) -> TrialResult:
    """What a record says.

    Args:
        record: A trial that has ended.
        usd_per_hour: Price of its machines; None where it is not known.
        before: Arguments of the project and the run.
    """
    end, values = record.end, dict[str, Any](record.plan.values)
    seconds = end.seconds if end else 0.0
    return TrialResult(
        number=record.number,
        state=end.state if end else "running",
        parameters=values,
        arguments=[*before, *record.plan.arguments],
        metric=end.value if end else None,
        seconds=seconds,
        cost=None if usd_per_hour is None else round(usd_per_hour * seconds / 3600, 4),
        job=end.job if end else "",
        model=end.model if end else "",
        receipt=end.receipt if end else "",
        run=(end.run if end else "") or record.run,
        reason=end.reason if end else "",
    )


def shown_values(values: Mapping[str, Any]) -> str:
    """Parameters as people read them in a line."""
    return " ".join(f"{name}={value}" for name, value in values.items()) or "the project's own values"
