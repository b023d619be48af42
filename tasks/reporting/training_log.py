"""Shows a job's log lines: in the run's log, as progress, and as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace

from ...vertex.job_types import LogLine, Outcome
from .events import FAILED, SUCCEEDED, job_event
from .log_records import LogRecords
from .logged_lines import Logged
from .metrics import Metrics
from .progress import current, part_done

PRIMARY = ("workerpool0-0", "service")
"""Tasks whose numbers count; with several replicas, each one logs its own."""


class TrainingLog:
    """Receives every log line of one job, and its outcome.

    Args:
        records: Writes lines to the run's log.
        logged: What an earlier attempt has written there; each line is skipped as often as it occurs.
    """

    def __init__(self, records: LogRecords, logged: Logged | None = None) -> None:
        self._records = records
        found = logged or Logged()
        self._logged = Counter(found.lines)
        self._left = len(found.lines)
        self._left_out = found.left_out
        self._metrics = Metrics()
        self._unit = ""

    def lines(self, lines: Sequence[LogLine]) -> None:
        """Handles new lines of any replica, in order."""
        texts = (text for line in lines for text in self._records.split(line.message))
        self._records.write(text for text in texts if not self._was_logged(text))
        for line in lines:
            if line.task in PRIMARY:
                self._metrics.line(line.fields)
                self._show_progress(line)

    def end(self, outcome: Outcome) -> Outcome:
        """Handles the job's end, successful or not; returns the outcome with the metrics."""
        self._records.tell()
        self._metrics.publish()
        outcome = replace(outcome, metrics=self._metrics.values())
        event = SUCCEEDED if outcome.state == "JOB_STATE_SUCCEEDED" else FAILED
        found = outcome.diagnosis
        why = {"kind": found.kind, "diagnosis": str(found)} if found else {}
        numbers = {name: asdict(metric) for name, metric in outcome.metrics.items()}
        job_event(event, outcome.name, state=outcome.state, seconds=outcome.seconds, metrics=numbers, **why)
        return outcome

    def _was_logged(self, text: str) -> bool:
        if self._logged[text]:
            self._logged[text] -= 1
            self._left -= 1
            return True
        if self._left_out and self._left:  # lines between those that were written were counted then
            self._left_out -= 1
            return True
        return False

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
