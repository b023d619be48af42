"""The numbers that a training prints as JSON lines: kept as series, shown as a table and as curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prefect.artifacts import create_markdown_artifact

from .artifacts import artifact_key, only_shown
from .line_chart import as_image

MAX_SERIES = 12
MAX_POINTS = 1000
"""Of one series; beyond it every second point is dropped."""

STEPS = ("global_step", "step", "iteration", "epoch")
"""What a line may be numbered by, the finest first."""

_NOT_METRICS = {*STEPS, "time", "timestamp", "ts", "elapsed", "pid", "rank", "seed", "lineno", "level", "severity"}
_NOT_METRICS |= {f"{prefix}{step}s" for prefix in ("", "num_", "total_", "max_") for step in ("step", "epoch")}


@dataclass
class Series:
    """One metric.

    Attributes:
        points: (step, value), in the order in which they were printed.
        last: The newest value.
        low: The smallest of all.
        high: The largest.
        count: How many were printed.
    """

    points: list[tuple[float, float]] = field(default_factory=list)
    last: float = math.nan
    low: float = math.inf
    high: float = -math.inf
    count: int = 0
    _every: int = 1

    def add(self, step: float, value: float) -> None:
        """One more value."""
        if self.count % self._every == 0:
            self.points.append((step, value))
        self.count += 1
        self.last, self.low, self.high = value, min(self.low, value), max(self.high, value)
        if len(self.points) > MAX_POINTS:
            self.points = self.points[::2]
            self._every *= 2


class Metrics:
    """Every series of one job.

    Attributes:
        series: By name; the first `MAX_SERIES` that were printed.
        by: What the points are numbered by: one of `STEPS`, or "line".
    """

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.by = ""

    def line(self, fields: Mapping[str, Any]) -> None:
        """Takes the numbers of one line; a line without any is ignored."""
        numbers = dict(_numbers(fields))
        values = {name: value for name, value in numbers.items() if name not in _NOT_METRICS}
        if not values:
            return
        self.by = self.by or next((name for name in STEPS if name in numbers), "line")
        for name, value in sorted(values.items()):  # a line travels as protobuf, which keeps no order
            if name in self.series or len(self.series) < MAX_SERIES:
                series = self.series.setdefault(name, Series())
                series.add(numbers.get(self.by, float(series.count + 1)), value)

    def publish(self) -> None:
        """Shows them as an artifact of the run: curves, and the same as a table."""
        if not self.series:
            return
        with only_shown():
            create_markdown_artifact(
                self.markdown(), key=artifact_key("metrics"), description="What the training printed as JSON lines"
            )

    def markdown(self) -> str:
        """Curves of every metric that has more than one value, then a table of all."""
        curves = {name: series.points for name, series in self.series.items() if len(series.points) > 1}
        image = f"![Curves of {', '.join(curves)}]({as_image(curves, self.by)})\n\n" if curves else ""
        rows = "\n".join(
            f"| {name} | {series.last:.6g} | {series.low:.6g} | {series.high:.6g} | {series.count} |"
            for name, series in self.series.items()
        )
        return f"{image}| metric | last | lowest | highest | values |\n|---|---:|---:|---:|---:|\n{rows}\n"


def _numbers(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Finite numbers, also those one level down, as in `{"metrics": {"loss": 0.3}}`."""
    found: list[tuple[str, float]] = []
    for name, value in fields.items():
        if isinstance(value, Mapping) and not prefix:
            found += _numbers(value, f"{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            found.append((" ".join(f"{prefix}{name}".replace("|", "/").split())[:60], float(value)))
    return found
