"""A job's lines as a person wants them: in the run's log, as a bar that moves, as curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ...vertex.job_types import LogLine, Outcome
from .events import FAILED, SUCCEEDED, job_event
from .metrics import Metrics
from .progress import current, part_done
from .step_log import LogFunction

PRIMARY = ("workerpool0-0", "service")
"""Whose numbers count: of several replicas each prints its own."""


class TrainingLog:
    """Takes every line of one job, and its end.

    Args:
        log: Writes to the run's log.
        printed: What an earlier attempt wrote there already: each is left out as often as it stands here.
    """

    def __init__(self, log: LogFunction, printed: Iterable[str] = ()) -> None:
        self._log = log
        self._printed = Counter(printed)
        self._metrics = Metrics()
        self._unit = ""

    def line(self, line: LogLine) -> None:
        """One line of any replica."""
        if self._printed[line.message]:
            self._printed[line.message] -= 1
        else:
            self._log(line.message)
        if line.task in PRIMARY:
            self._metrics.line(line.fields)
            self._move(line)

    def end(self, outcome: Outcome) -> None:
        """The job has ended, well or not."""
        self._metrics.publish()
        event = SUCCEEDED if outcome.state == "JOB_STATE_SUCCEEDED" else FAILED
        found = outcome.diagnosis
        why = {"kind": found.kind, "diagnosis": str(found)} if found else {}
        job_event(event, outcome.name, state=outcome.state, seconds=outcome.seconds, **why)

    def _move(self, line: LogLine) -> None:
        progress = current()
        found = part_done(line.message, line.fields) if progress else None
        if progress is None or found is None:
            return
        unit, part = found
        # Steps begin again with each epoch: once epochs are counted, only they move the bar.
        if unit == "epoch" or self._unit != "epoch":
            self._unit = unit
            progress.inside(part, f"training: {part:.0%} of its {unit}s")
