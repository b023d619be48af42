"""The regions in which a run with a fall-back list may have jobs, noted for the hook that ends them.

The hook runs in another process, which knows the run's parameters alone; the list may stand in the project.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ...core.atomic_files import write_atomic
from ...core.home import Home
from ...core.security.parsed_text import parse_json

Places = Sequence[tuple[str, str]]
"""Regions with their buckets."""


def note_places(run: str, places: Places) -> None:
    """Before a job is created; a note that can't be written leaves the hook the region of the run's block."""
    with suppress(OSError):
        path = _path(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(list(places)).encode())


def noted_places(run: str) -> Places:
    """What was noted; empty for a run without a list."""
    try:
        return [(str(region), str(bucket)) for region, bucket in parse_json(_path(run).read_bytes())]
    except (OSError, ValueError, TypeError):
        return ()


def every_noted_place() -> Places:
    """The regions of all runs with a list that this machine knows of, each once."""
    folder = _path("any").parent
    found = (noted_places(path.stem) for path in sorted(folder.glob("*.json")))
    return tuple(dict(place for places in found for place in places).items())


def _path(run: str) -> Path:
    return Home.default().cache / "run-places" / f"{run}.json"
