"""The artifact about the frozen dependencies: what was frozen from which list, and every line that was changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .markdown import plain, table

if TYPE_CHECKING:
    from ...project.dependencies.freeze import Lock

_TITLES = {
    "replaced": "Replaced",
    "built": "Built as wheels and shipped with the code",
    "dropped": "Left out",
    "added": "Added",
}


def page(lock: Lock) -> str:
    """The artifact's Markdown."""
    return "\n".join(_parts(lock)) + "\n"


def _parts(lock: Lock) -> Iterator[str]:
    yield f"From {plain(lock.method)}: {len(lock.packages)} packages, as wheels for linux/amd64.\n"
    yield from (f"- {plain(note)}" for note in lock.notes)
    for action, title in _TITLES.items():
        found = [entry for entry in lock.changes if entry.action == action]
        if found:
            rows = [(entry.line, entry.place, entry.result or "", entry.reason) for entry in found]
            yield f"\n## {title}\n"
            yield table(["line", "place", "now", "why"], rows)
    yield "\n## Frozen\n"
    yield table(["package", "version"], lock.packages)
