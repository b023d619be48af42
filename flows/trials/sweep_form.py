"""The card of the run form that says what a sweep searches, and what a run changes of the project's own settings."""

# No `from __future__ import annotations` here, for the reason given in train.py.

from typing import Any, Literal

from pydantic import BaseModel, Field

from ...project.settings.settings import Settings
from ...project.settings.sweep_settings import SweepSettings, chosen
from ..form import PROJECTS

_UNCHOSEN = "0: project setting."


def _field(position: int, title: str, description: str, default: Any, **more: Any) -> Any:  # noqa: ANN401 - as Field
    return Field(
        default=default, title=title, description=description, json_schema_extra={"position": position}, **more
    )


class SweepChoices(BaseModel):
    """What this run changes of the search that the project's own settings describe."""

    space: list[str] = _field(
        0,
        "Parameters",
        'One a line: lr = { log = [1e-5, 1e-1] }, batch = [16, 32], depth = { int = [2, 6], when = { kind = "tree" } }',
        [],
    )
    metric: str = _field(1, "Metric", "The number to improve, as the script reports it. Empty: project setting.", "")
    goal: Literal["project setting", "max", "min"] = _field(2, "Goal", "Whether larger or smaller is better", PROJECTS)
    trials: int = _field(
        3, "Trials", f"The first one runs with the project's own values. {_UNCHOSEN}", 0, ge=0, le=10_000
    )
    parallel: int = _field(4, "At once", f"Trials that run at the same time. {_UNCHOSEN}", 0, ge=0, le=500)
    algorithm: Literal["project setting", "tpe", "random", "grid"] = _field(
        5, "Search", "tpe learns from the trials so far; grid tries every combination", PROJECTS
    )
    prune: Literal["project setting", "median", "hyperband", "off"] = _field(
        6, "Ending bad trials early", "By comparison with others at the same step", PROJECTS
    )
    max_failures: int = _field(7, "Failures", f"The sweep ends when this many trials failed. {_UNCHOSEN}", 0, ge=0)
    stop_after: int = _field(
        8,
        "Trials without progress",
        f"The sweep ends after this many trials without a better one. {_UNCHOSEN}",
        0,
        ge=0,
    )
    engine: Literal["project setting", "own", "vertex"] = _field(
        9, "Engine", "own: a job for each trial; vertex: Vertex AI's tuning service makes them", PROJECTS
    )

    def applied_to(self, own: SweepSettings) -> SweepSettings:
        """The settings with these choices.

        Raises:
            ProjectError: A choice is wrong, or metric, goal or space are missing.
        """
        values = self.model_dump(exclude={"space"})
        return chosen(own, {name: value for name, value in values.items() if value != PROJECTS}, self.space)


def searched(settings: Settings, search: SweepChoices, more: int, known: int) -> SweepSettings:
    """The search of this run.

    Args:
        settings: The project's settings.
        search: The run's choices.
        more: How many trials to add to those of an earlier run; 0 for a new sweep.
        known: How many trials there are already.

    Raises:
        ProjectError: As `SweepChoices.applied_to`.
    """
    if more:
        search = search.model_copy(update={"trials": known + more})
    return search.applied_to(settings.sweep)
