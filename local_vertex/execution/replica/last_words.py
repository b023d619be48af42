"""What a failed program wrote last: its traceback, or the end of its standard error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from ...store.records import StoredEntry

_MOST_LINES = 200  # of a traceback
_OTHER_LINES = 10  # where there is none
_MOST_CHARACTERS = 10_000
_START = re.compile(r"^(\[rank\d+\]: ?)?Traceback \(most recent call last\):")


class LogSource(Protocol):
    """The part of the store that is read."""

    def find_logs(
        self, where: str = "1", parameters: Sequence[object] = (), *, order: str = "seq", limit: int = 1000
    ) -> list[StoredEntry]:
        """Log entries that match."""
        ...


def last_words(store: LogSource, job_id: str, task: str) -> str:
    """The last traceback of a replica, from its first line to the end of its standard error; else the last lines.

    Args:
        store: Has all of the replica's output.
        job_id: The job.
        task: Name of the replica, for example "workerpool0-0".
    """
    found = store.find_logs(
        "job_id = ? AND task = ? AND severity = 'ERROR'", [job_id, task], order="seq DESC", limit=_MOST_LINES
    )
    lines = [_text(line.entry.payload) for line in reversed(found)]
    starts = [index for index, line in enumerate(lines) if _START.match(line)]
    kept = lines[starts[-1] :] if starts else lines[-_OTHER_LINES:]
    return "\n".join(kept).strip("\n")[-_MOST_CHARACTERS:]


def _text(payload: object) -> str:
    if isinstance(payload, dict):  # a plain line in the form that the switch `plain_lines` sets
        payload = payload.get("message", "")
    return str(payload)
