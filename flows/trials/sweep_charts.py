"""Pictures of a sweep as one small SVG image: the metric over the trials, and over each parameter."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 320, 190
"""Size of a panel, in pixels."""

LEFT, TOP, RIGHT, BOTTOM = 48, 30, 308, 150
"""Edges of the area for the points inside a panel, in pixels."""

COLUMNS = 2
MOST_PANELS = 13
MOST_POINTS = 1000

_COLOURS = {"completed": "#2a6fdb", "pruned": "#b9bec7"}


class Dot(NamedTuple):
    """A trial in the pictures: its number, how it ended, its metric, its parameters."""

    number: int
    state: str
    metric: float
    values: Mapping[str, object]


class _Axis(NamedTuple):
    """The x axis of a panel: each trial's place from 0 to 1, and the words below."""

    places: list[float]
    words: list[tuple[float, str]]


def as_image(dots: Sequence[Dot], metric: str, goal: str, logarithmic: frozenset[str] = frozenset()) -> str:
    """The pictures as a `data:` URL, which a page shows without another request.

    Args:
        dots: The trials with a metric, in the order of their numbers; at least one.
        metric: Name of the metric.
        goal: `max` or `min`.
        logarithmic: Parameters that are searched by order of magnitude.
    """
    return f"data:image/svg+xml;base64,{b64encode(as_svg(dots, metric, goal, logarithmic).encode()).decode()}"


def as_svg(dots: Sequence[Dot], metric: str, goal: str, logarithmic: frozenset[str] = frozenset()) -> str:
    """The pictures as an SVG document; arguments as `as_image`."""
    dots = dots[-MOST_POINTS:]
    names = list(dict.fromkeys(name for dot in dots for name in dot.values))[: MOST_PANELS - 1]
    panels = [_history(dots, metric, goal)]
    for name in names:
        having = [dot for dot in dots if name in dot.values]
        panels.append(_panel(having, _axis([dot.values[name] for dot in having], log=name in logarithmic), name))
    columns, rows = min(COLUMNS, len(panels)), -(-len(panels) // COLUMNS)
    body = "".join(
        f'<g transform="translate({index % COLUMNS * WIDTH} {index // COLUMNS * HEIGHT})">{panel}</g>'
        for index, panel in enumerate(panels)
    )
    size = f'width="{columns * WIDTH}" height="{rows * HEIGHT}"'
    # With a background, since Prefect's page is dark or light by choice of its reader.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
        f'<rect {size} fill="#fff"/>{body}</svg>'
    )


def _history(dots: Sequence[Dot], metric: str, goal: str) -> str:
    """The metric of each trial, and a line along the best so far."""
    axis = _axis([dot.number for dot in dots], log=False)
    better = max if goal == "max" else min
    best: list[float] = []
    for dot in dots:
        if dot.state == "completed":
            best.append(better([*best[-1:], dot.metric]))
        else:
            best.append(best[-1] if best else math.nan)
    values = [dot.metric for dot in dots]
    points = [
        f"{_x(place):.1f},{_y(value, values):.1f}"
        for place, value in zip(axis.places, best, strict=True)
        if math.isfinite(value)
    ]
    line = f'<polyline points="{" ".join(points)}" fill="none" stroke="#d9822b" stroke-width="2"/>'
    return _panel(dots, axis, f"{metric} by trial, and the best so far", line)


def _panel(dots: Sequence[Dot], axis: _Axis, title: str, more: str = "") -> str:
    values = [dot.metric for dot in dots]
    circles = "".join(
        f'<circle cx="{_x(place):.1f}" cy="{_y(dot.metric, values):.1f}" r="3.5" '
        f'fill="{_COLOURS.get(dot.state, "#777")}" fill-opacity="0.8"><title>trial {dot.number}: {dot.metric:.6g}'
        "</title></circle>"
        for place, dot in zip(axis.places, dots, strict=True)
    )
    words = "".join(
        f'<text x="{_x(place):.1f}" y="{BOTTOM + 16}" font-size="10" text-anchor="{_anchor(place)}" fill="#777">'
        f"{escape(text[:14])}</text>"
        for place, text in axis.words
    )
    frame = f'x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"'
    return (
        f'<text x="12" y="18" font-weight="bold" fill="#222">{escape(title[:44])}</text><rect {frame} fill="#f5f6f8"/>'
        f'<text x="{LEFT - 4}" y="{TOP + 8}" font-size="10" text-anchor="end" fill="#777">{max(values):.4g}</text>'
        f'<text x="{LEFT - 4}" y="{BOTTOM}" font-size="10" text-anchor="end" fill="#777">{min(values):.4g}</text>'
        f"{more}{circles}{words}"
    )


def _axis(values: Sequence[object], *, log: bool) -> _Axis:
    """Numbers by their size, everything else side by side."""
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return _categories([str(value) for value in values])
    scaled = [math.log10(number) for number in numbers] if log and min(numbers) > 0 else numbers
    low, high = min(scaled), max(scaled)
    places = [0.5 if low == high else (value - low) / (high - low) for value in scaled]
    ends = [(0.0, min(numbers)), (1.0, max(numbers))] if low != high else [(0.5, numbers[0])]
    return _Axis(places, [(place, f"{number:.4g}") for place, number in ends])


def _categories(texts: Sequence[str]) -> _Axis:
    names = sorted(set(texts))
    place = {name: (index + 0.5) / len(names) for index, name in enumerate(names)}
    return _Axis([place[text] for text in texts], [(place[name], name) for name in names[:6]])


def _anchor(place: float) -> str:
    """Which part of a text lies at a place: at the ends of the axis it would otherwise leave the picture."""
    return {0.0: "start", 1.0: "end"}.get(place, "middle")


def _x(place: float) -> float:
    return LEFT + 6 + place * (RIGHT - LEFT - 12)


def _y(value: float, values: Sequence[float]) -> float:
    low, high = min(values), max(values)
    # Halved first: the difference of two large floats may be infinite.
    part = 0.5 if low == high else (value / 2 - low / 2) / (high / 2 - low / 2)
    return BOTTOM - 6 - part * (BOTTOM - TOP - 12)
