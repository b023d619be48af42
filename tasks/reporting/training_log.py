"""Shows a job's log lines: in the run's log, as progress, and as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ...vertex.job_types import LogLine, Outcome
from .events import FAILED, SUCCEEDED, job_event
from .metrics import Metrics
from .progress import current, part_done
from .step_log import LogFunction

PRIMARY = ("workerpool0-0", "service")
"""Tasks whose numbers count; with several replicas, each one logs its own."""


class TrainingLog:
    """Receives every log line of one job, and its outcome.

    Args:
        log: Writes a line to the run's log.
        logged: Lines that an earlier attempt has written there; each is skipped as often as it occurs here.
    """

    def __init__(self, log: LogFunction, logged: Iterable[str] = ()) -> None:
        self._log = log
        self._logged = Counter(logged)
        self._metrics = Metrics()
        self._unit = ""

    def line(self, line: LogLine) -> None:
        """Handles one line of any replica."""
        if self._logged[line.message]:
            self._logged[line.message] -= 1
        else:
            self._log(line.message)
        if line.task in PRIMARY:
            self._metrics.line(line.fields)
            self._show_progress(line)

    def end(self, outcome: Outcome) -> None:
        """Handles the job's end, successful or not."""
        self._metrics.publish()
        event = SUCCEEDED if outcome.state == "JOB_STATE_SUCCEEDED" else FAILED
        found = outcome.diagnosis
        why = {"kind": found.kind, "diagnosis": str(found)} if found else {}
        job_event(event, outcome.name, state=outcome.state, seconds=outcome.seconds, **why)

    def _show_progress(self, line: LogLine) -> None:
        progress = current()
        found = part_done(line.message, line.fields) if progress else None
        if progress is None or found is None:
            return
        unit, part = found
        # Steps start at zero in each epoch, so once a line has counted epochs, only those move the bar.
        if unit == "epoch" or self._unit != "epoch":
            self._unit = unit
            progress.inside(part, f"training: {part:.0%} of its {unit}s")
