"""The numbers that a training prints, as curves and as a table."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.tasks.reporting.line_chart import as_svg
from prefect_vertex_training.tasks.reporting.metrics import MAX_POINTS, MAX_SERIES, Metrics

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


def test_numbers_become_series_by_their_step() -> None:
    """Counters number the points; text, flags and totals are no metrics; the order is that of their names."""
    metrics = Metrics()
    for epoch in (1, 2, 3):
        fields = {"epoch": epoch, "epochs": 3, "loss": 1 / epoch, "ok": True, "note": "x", "eval": {"accuracy": 0.9}}
        metrics.line(dict(reversed(fields.items())) if epoch == 1 else fields)
    metrics.line({"message": "saved"})

    assert metrics.by == "epoch"
    assert metrics.series["loss"].points == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert set(metrics.series) == {"loss", "eval.accuracy"}
    text = metrics.markdown()
    assert "| loss | 0.333333 | 0.333333 | 1 | 3 |" in text
    assert text.startswith("![Curves of eval.accuracy, loss](data:image/svg+xml;base64,")


def test_one_value_is_a_row_and_no_curve() -> None:
    """A final accuracy needs no plot."""
    metrics = Metrics()
    metrics.line({"accuracy": 0.97})

    assert "data:" not in metrics.markdown()
    assert "| accuracy | 0.97 | 0.97 | 0.97 | 1 |" in metrics.markdown()


def test_a_long_training_stays_small() -> None:
    """A million lines or a thousand names don't make an artifact that nobody can load."""
    metrics = Metrics()
    for step in range(20 * MAX_POINTS):
        metrics.line({"step": step, "loss": 1.0 / (step + 1)})
    metrics.line({f"metric{index}": index for index in range(100)})

    loss = metrics.series["loss"]
    assert len(loss.points) <= MAX_POINTS
    assert loss.count == 20 * MAX_POINTS
    assert loss.low == 1.0 / (20 * MAX_POINTS)
    assert len(metrics.series) == MAX_SERIES
    assert len(metrics.markdown()) < 100_000


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=8))
def test_no_line_breaks_it(lines: list[dict[str, object]]) -> None:
    """Whatever JSON a training prints, there is a table of finite numbers."""
    metrics = Metrics()
    for line in lines:
        metrics.line(line)

    assert all(math.isfinite(series.last) for series in metrics.series.values())
    assert metrics.markdown()


@given(
    st.dictionaries(
        st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1),
        st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=1, max_size=20),
        min_size=1,
        max_size=5,
    )
)
def test_any_curves_make_a_valid_picture_within_its_frame(curves: dict[str, list[tuple[float, float]]]) -> None:
    """Names are escaped, huge and equal values fit."""
    picture = ET.fromstring(as_svg(curves, "step"))
    lines = picture.findall(".//{http://www.w3.org/2000/svg}polyline")
    points = [point.split(",") for line in lines for point in line.get("points", "").split()]

    assert len(lines) == len(curves)
    assert all(0 <= float(x) <= 320 and 0 <= float(y) <= 170 for x, y in points)
