"""Metrics that a training script prints as JSON lines: kept as series, shown as a table and line charts."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...vertex.job_types import Metric
from .artifacts import optional_display, write_page
from .line_chart import as_image
from .markdown import plain, table, visible

MAX_SERIES = 100
MAX_CURVES = 12
"""Most charts in the artifact; all series are in its table."""

MAX_POINTS = 1000
"""Most points of one series; when there are more, every second point is dropped."""

STEPS = ("global_step", "step", "iteration", "epoch")
"""Fields that number a line, the finest first."""

_NOT_METRICS = {*STEPS, "time", "timestamp", "ts", "elapsed", "pid", "rank", "seed", "lineno", "level", "severity"}
_NOT_METRICS |= {f"{prefix}{step}s" for prefix in ("", "num_", "total_", "max_") for step in ("step", "epoch")}


@dataclass
class Series:
    """The values of one metric.

    Attributes:
        points: (step, value), in the order of the log.
        last: The newest value.
        low: The smallest value.
        high: The largest value.
        count: Number of values in the log.
    """

    points: list[tuple[float, float]] = field(default_factory=list)
    last: float = math.nan
    low: float = math.inf
    high: float = -math.inf
    count: int = 0
    _every: int = 1

    def add(self, step: float, value: float) -> None:
        """Adds a value."""
        if self.count % self._every == 0:
            self.points.append((step, value))
        self.count += 1
        self.last, self.low, self.high = value, min(self.low, value), max(self.high, value)
        if len(self.points) > MAX_POINTS:
            self.points = self.points[::2]
            self._every *= 2


class Metrics:
    """All metrics of one job.

    Attributes:
        series: Series by the metric's name; at most `MAX_SERIES`, the first ones in the log.
        by: The field that numbers the points: one of `STEPS`, or "line".
    """

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.by = ""

    def line(self, fields: Mapping[str, Any]) -> None:
        """Adds the numbers of one line; lines without numbers are ignored."""
        numbers = dict(_numbers(fields))
        values = {name: value for name, value in numbers.items() if name not in _NOT_METRICS}
        if not values:
            return
        self.by = self.by or next((name for name in STEPS if name in numbers), "line")
        for name, value in sorted(values.items()):  # protobuf keeps no order of fields
            if name in self.series or len(self.series) < MAX_SERIES:
                series = self.series.setdefault(name, Series())
                series.add(numbers.get(self.by, float(series.count + 1)), value)

    def publish(self) -> None:
        """Writes the artifact `PROJECT-metrics`: line charts and a table."""
        if not self.series:
            return
        with optional_display():
            write_page(self.markdown(), "metrics", "Metrics from the script's JSON lines")

    def values(self) -> dict[str, Metric]:
        """What is known of each metric, by its name."""
        return {name: Metric(series.last, series.low, series.high) for name, series in self.series.items()}

    def markdown(self) -> str:
        """The artifact's Markdown: line charts of metrics with more than one value, then a table of all."""
        several = [(name, series.points) for name, series in self.series.items() if len(series.points) > 1]
        curves = dict(several[:MAX_CURVES])
        image = f"![{plain('Curves of ' + ', '.join(curves))}]({as_image(curves, self.by)})\n\n" if curves else ""
        rows = [
            (name, f"{series.last:.6g}", f"{series.low:.6g}", f"{series.high:.6g}", series.count)
            for name, series in self.series.items()
        ]
        numbers = table(["metric", "last", "lowest", "highest", "values"], rows, numbers={1, 2, 3, 4})
        return f"{image}{numbers}\n"


def _numbers(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Finite numbers of a line, also those nested once, as in `{"metrics": {"loss": 0.3}}`."""
    found: list[tuple[str, float]] = []
    for name, value in fields.items():
        if isinstance(value, Mapping) and not prefix:
            found += _numbers(value, f"{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
            found.append((" ".join(visible(f"{prefix}{name}").split())[:60], float(value)))
    return found
