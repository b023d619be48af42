"""Line charts as one small SVG image: a panel for each series, since a loss and an accuracy share no scale."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 320, 170
"""Size of a panel, in pixels."""

LEFT, TOP, RIGHT, BOTTOM = 12, 42, 308, 144
"""Edges of the area for the line inside a panel, in pixels."""

COLUMNS = 2


def as_image(curves: Mapping[str, Points], by: str) -> str:
    """The charts as a `data:` URL, which a page shows without another request.

    Args:
        curves: Points (x, y) by the series' name; at least one series, each with at least one point.
        by: Label of the x axis.
    """
    return f"data:image/svg+xml;base64,{b64encode(as_svg(curves, by).encode()).decode()}"


def as_svg(curves: Mapping[str, Points], by: str) -> str:
    """The charts as an SVG document; arguments as `as_image`."""
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    size = f'width="{columns * WIDTH}" height="{rows * HEIGHT}"'
    panels = ""
    for index, (name, points) in enumerate(curves.items()):
        x, y = index % columns * WIDTH, index // columns * HEIGHT
        panels += f'<g transform="translate({x} {y})">{_panel(name, points, by)}</g>'
    font = 'font-family="sans-serif" font-size="12"'
    # With a background, since Prefect's page is dark or light by choice of its reader.
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}><rect {size} fill="#fff"/>{panels}</svg>'


def _panel(name: str, points: Points, by: str) -> str:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    path = " ".join(f"{_scaled(x, xs, LEFT, RIGHT):.1f},{_scaled(y, ys, BOTTOM, TOP):.1f}" for x, y in sorted(points))
    frame = f'x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"'
    return (
        f'<text x="{LEFT}" y="18" font-weight="bold" fill="#222">{escape(name)}</text>'
        f'<text x="{RIGHT}" y="18" text-anchor="end" fill="#222">{points[-1][1]:.6g}</text>'
        f'<text x="{LEFT}" y="34" font-size="10" fill="#777">{min(ys):.4g} to {max(ys):.4g}</text>'
        f'<rect {frame} fill="#f5f6f8"/>'
        f'<polyline points="{path}" fill="none" stroke="#2a6fdb" stroke-width="2" stroke-linejoin="round"/>'
        f'<text x="{LEFT}" y="160" font-size="10" fill="#777">{escape(by)} {min(xs):.6g}</text>'
        f'<text x="{RIGHT}" y="160" font-size="10" text-anchor="end" fill="#777">{max(xs):.6g}</text>'
    )


def _scaled(value: float, values: Sequence[float], begin: float, end: float) -> float:
    """The value's coordinate between two edges; the middle if all values are equal."""
    low, high = min(values), max(values)
    # Halved first: the difference of two large floats may be infinite.
    part = 0.5 if low == high else (value / 2 - low / 2) / (high / 2 - low / 2)
    return begin + part * (end - begin)
