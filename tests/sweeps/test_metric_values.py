"""The metric in a log, in hypertune's file and in metrics.json."""

from __future__ import annotations

import math
from typing import Any

import pytest
from prefect_vertex_training.sweeps.metric_values import (
    MetricLog,
    Point,
    document_value,
    hypertune_points,
    measured,
    thinned,
)


@pytest.mark.parametrize(
    ("message", "fields", "points"),
    [
        ("", {"epoch": 3, "val_acc": 0.9}, [(3, 0.9)]),
        ("", {"epoch": 3, "metrics": {"val_acc": 0.9}}, [(3, 0.9)]),
        ("epoch=4 val_acc=0.91", {}, [(4, 0.91)]),
        ("step 2 - loss: 0.3 - val_acc: 9.1e-1", {}, [(1, 0.91)]),
        ('{"step": 5, "val_acc": NaN}', {}, [(5, math.nan)]),
        ("val_acc = inf", {}, [(1, math.inf)]),
        ("my_val_acc=0.9 val_acc_2=0.8 val_acc2: 1", {}, []),
        ("val_acc=12:30", {}, []),
        ("", {"val_acc": "0.9"}, []),
        ("", {"val_acc": True}, []),
    ],
)
def test_a_line_of_the_log(message: str, fields: dict[str, Any], points: list[tuple[float, float]]) -> None:
    """JSON fields, also nested ones, and `name=value` or `name: value`; other names are left alone."""
    log = MetricLog("val_acc")

    found = log.read(message, fields)

    assert str([tuple(point) for point in found]) == str([tuple(map(float, point)) for point in points])


def test_names_of_other_numbers_are_kept_for_the_message() -> None:
    """A metric that never appears is answered with those that do."""
    log = MetricLog("acc")
    log.read("", {"epoch": 1, "accuracy": 0.9})
    log.read("loss=0.3", {})

    assert list(log.names) == ["accuracy", "loss"]


def test_hypertunes_file_is_read_while_it_is_written() -> None:
    """Values are texts there; half a line is left out, and so are other tags."""
    text = '{"timestamp": 1, "trial": "1", "acc": "0.5", "global_step": "3"}\n{"loss": "1"}\n{"timest'

    assert hypertune_points(text, "acc") == [Point(3, 0.5)]


def test_the_last_step_counts_after_a_restart() -> None:
    """A job that began again reports steps a second time: neither its last line nor a repeated step misleads."""
    points = [Point(1, 0.1), Point(2, 0.9), Point(1, 0.2), Point(2, 0.8)]

    assert measured(points, best=False, maximize=True) == 0.8
    assert measured(points, best=True, maximize=True) == 0.9
    assert measured(points, best=True, maximize=False) == 0.1
    assert measured([], best=False, maximize=True) is None
    assert thinned(points) == [(1, 0.2), (2, 0.8)]
    assert len(thinned([Point(step, 1.0) for step in range(10_000)])) <= 201


def test_metrics_json() -> None:
    """A number, or the last one of a list; also inside of another object."""
    assert document_value('{"acc": 0.5, "history": [1, 2]}', "history") == (2, ["acc", "history"])
    assert document_value('{"test": {"acc": 0.5}}', "acc")[0] == 0.5
    assert document_value('{"test": {"acc": 0.5}}', "test.acc")[0] == 0.5
    assert document_value("no JSON", "acc") == (None, [])
