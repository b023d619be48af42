"""Reads the metric of a trial: from its log, from the file that hypertune writes, and from the model's metrics.json.

A script may report it in any of these ways, and often in several. What counts at the end is, in this order: the
hypertune file, metrics.json, the log. In the log a metric is a field of a JSON line, or stands as `name=value` or
`name: value` in any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..runtime.tuning.metric_lines import STEPS, as_number, document_numbers, field_numbers, json_object, line_numbers

HYPERTUNE_FILE = "hypertune/output.metrics"
"""Where a trial's file lies in its output folder."""

METRICS_FILE = "metrics.json"
"""The file in the model's folder."""

_MOST_NAMES = 50


class Point(NamedTuple):
    """One value of the metric: its step, and the value, which may be nan."""

    step: float
    value: float


class MetricLog:
    """The values of one metric in a log, as far as it was read.

    Attributes:
        points: In the order of the log.
        names: Names of other numbers in it, for the message that this one is missing.

    Args:
        metric: The metric's name.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self.points: list[Point] = []
        self.names: dict[str, None] = {}

    def read(self, message: str, fields: Mapping[str, Any]) -> list[Point]:
        """Takes one line; returns its values of the metric."""
        numbers = dict(field_numbers(fields)) or line_numbers(message)
        if self._metric not in numbers:
            for name in numbers:
                if len(self.names) < _MOST_NAMES and name not in STEPS:
                    self.names.setdefault(name)
            return []
        step = next((numbers[name] for name in STEPS if name in numbers), float(len(self.points) + 1))
        self.points.append(Point(step, numbers[self._metric]))
        return self.points[-1:]


def hypertune_points(text: str, metric: str) -> list[Point]:
    """The values of a metric in the file that hypertune writes; half a line, being written, is left out.

    Args:
        text: The file: a JSON object in each line, with the value as text.
        metric: The metric's name, which is the tag that the script reports.
    """
    found = []
    for line in text.splitlines():
        entry = json_object(line)
        if metric in entry:
            value, step = as_number(entry[metric]), as_number(entry.get("global_step"))
            if value is not None:
                found.append(Point(step or 0.0, value))
    return found


def new_points(known: Sequence[Point], points: Sequence[Point]) -> list[Point]:
    """What a file has that is not known yet, where its writer keeps only the last points.

    Args:
        known: All points that were read before, in their order.
        points: The points in the file.
    """
    before, now = ([(each.step, repr(each.value)) for each in some] for some in (known, points))  # nan equals nan
    overlaps = (count for count in range(min(len(before), len(now)), 0, -1) if before[-count:] == now[:count])
    return list(points[next(overlaps, 0) :])


def hypertune_names(text: str) -> list[str]:
    """The tags in such a file."""
    known = {"timestamp", "trial", "global_step", "checkpoint_path"}
    return list(dict.fromkeys(name for line in text.splitlines() for name in json_object(line) if name not in known))


def document_value(text: str, metric: str) -> tuple[float | None, list[str]]:
    """The metric in a metrics.json, and the names of all numbers there; of a list of numbers the last one counts."""
    numbers = document_numbers(text)
    return numbers.get(metric), list(numbers)


def measured(points: Iterable[Point], *, best: bool, maximize: bool) -> float | None:
    """The value of a trial: of its last step, or the best of all; None without any.

    After a restart a job reports steps again, so the last line isn't always the last step.
    """
    found = list(points)
    if not found:
        return None
    if best and (finite := [point.value for point in found if math.isfinite(point.value)]):
        return max(finite) if maximize else min(finite)
    return max(enumerate(found), key=lambda each: (each[1].step, each[0]))[1].value


def thinned(points: Iterable[Point], most: int = 200) -> list[tuple[float, float]]:
    """At most so many points, evenly over all; a step that was reported again counts once."""
    latest = {point.step: point.value for point in points if math.isfinite(point.value)}
    steps = sorted(latest)
    every = -(-len(steps) // most) or 1
    kept = steps[::every]
    if steps and kept[-1] != steps[-1]:
        kept.append(steps[-1])
    return [(step, latest[step]) for step in kept]
