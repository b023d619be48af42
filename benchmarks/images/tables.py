"""Measurements: saved to a file, and printed with ratios."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import wan

Row = dict[str, list[float]]
"""The samples of a column, in seconds; those of `sent` in bytes."""
COLUMNS = ("cold", "fresh machine", "edit", "nothing")


@dataclass
class Piece:
    """The measurements of one project over one line in one run; ratios compare measurements of one run."""

    project: str
    line: str
    rows: dict[str, Row] = field(default_factory=dict)


def load(path: Path) -> list[Piece]:
    """Reads the pieces of a file, one in each line."""
    return [Piece(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def save(path: Path, piece: Piece) -> None:
    """Adds a piece to a file."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(piece)) + "\n")


def show(pieces: Sequence[Piece], ours: str) -> None:
    """Prints a Markdown table a project and line: medians, and how many times ours of the same piece each is."""
    for project, line in dict.fromkeys((piece.project, piece.line) for piece in pieces):
        chosen = [piece for piece in pieces if (piece.project, piece.line) == (project, line) and piece.rows]
        names = dict.fromkeys(name for piece in chosen for name in piece.rows if not name.startswith(ours))
        mine = dict.fromkeys(name for piece in chosen for name in piece.rows if name.startswith(ours))
        if not chosen:
            continue
        print(f"Project {project.upper()}, {line}:\n")
        print(f"| | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
        for name in (*names, *mine):
            cells = [_cell(chosen, name, column, ours) for column in COLUMNS]
            print(f"| {f'**{name}**' if name == ours else name} | {' | '.join(cells)} |")
        print("".join(_sent(chosen, name) for name in (*names, *mine)), flush=True)


def _cell(pieces: Sequence[Piece], name: str, column: str, ours: str) -> str:
    """Ours over all pieces; another's in the last piece that has it, beside ours there."""
    if name.startswith(ours):
        samples = [value for piece in pieces for value in piece.rows.get(name, {}).get(column, [])]
        return f"{statistics.median(samples):.3f}" if samples else ""
    for piece in reversed(pieces):
        row = piece.rows.get(name, {})
        # The others have no way to start warm on a fresh machine: their cold build is what ours stands beside.
        samples = row.get(column) or (row.get("cold") if column == "fresh machine" else None)
        own = piece.rows.get(ours, {}).get(column)
        if samples:
            value = statistics.median(samples)
            return f"{value:.3f}" + (f" ({value / statistics.median(own):.1f}x)" if own else "")
    return ""


def _sent(pieces: Sequence[Piece], name: str) -> str:
    """Prints what a cold build sent over the line, beside the line's own speed."""
    pairs = [
        pair
        for row in (piece.rows.get(name, {}) for piece in pieces)
        for pair in zip(row.get("sent", []), row.get("cold", []), strict=False)  # only a slow line counts bytes
    ]
    if not pairs:
        return ""
    sent = statistics.median(sent for sent, _ in pairs)
    ratio = statistics.median(taken / (sent / wan.BANDWIDTH) for sent, taken in pairs)
    return f"\n{name}, cold: {sent / 1e6:.1f} MB sent, in {ratio:.2f} times what the line needs for them\n"
