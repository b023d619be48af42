"""Follows the metric of one running trial, and says when the trial is not worth its machine any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ...core.errors import TrainingError
from ...sweeps.metric_values import HYPERTUNE_FILE, MetricLog, Point, hypertune_points, new_points
from ...tasks.reporting.training_log import PRIMARY
from ...vertex.client.connection import Connection
from ...vertex.job_types import LogLine

Report = Callable[[float, float], bool]
"""Takes a step and the metric's value there; returns whether the trial should end."""

LOOKS = 2.0
"""How many times the log's interval lies between two looks at the file that hypertune writes."""


class TrialJudge:
    """Judges one trial by its log; where that has no metric, by the file that hypertune writes.

    Attributes:
        log: The metric's values in the log.

    Args:
        connection: Where the trial's job runs.
        output: The job's output folder.
        metric: Name of the metric.
        report: Asked with every new value. Default: the trial goes on.
        clock: A monotonic clock, seconds.
    """

    def __init__(
        self,
        connection: Connection,
        output: str,
        metric: str,
        report: Report | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log = MetricLog(metric)
        self._connection = connection
        self._uri = f"{output.rstrip('/')}/{HYPERTUNE_FILE}"
        self._metric = metric
        self._report = report
        self._clock = clock
        self._looked = clock()
        self._in_file: list[Point] = []

    def verdict(self, lines: Sequence[LogLine]) -> str:
        """Why the trial should end now; empty while it should go on."""
        new: list[Point] = []
        for line in lines:
            if line.task in PRIMARY:
                new += self.log.read(line.message, line.fields)
        if self._report is None:
            return ""
        if not self.log.points:
            new = self._new_in_file()
        for point in new:
            if self._report(point.step, point.value):
                return f"{self._metric} is {point.value:.6g} at step {point.step:g}, worse than others there"
        return ""

    def _new_in_file(self) -> list[Point]:
        now = self._clock()
        if now < self._looked + LOOKS * self._connection.pace.log_poll:
            return []
        self._looked = now
        try:
            found = self._connection.models.document(self._uri)
        except TrainingError:  # read again at the end, where it counts
            return []
        points = hypertune_points(found.data.decode(errors="replace"), self._metric) if found else []
        new = new_points(self._in_file, points)
        self._in_file += new
        return new
