"""Records that a job is about to be created, so that after a crash the next attempt knows that it may exist."""

from __future__ import annotations

import json
from pathlib import Path

from ...core.atomic_files import write_atomic
from ...core.security.parsed_text import parse_json


def intent_text(key: str, now: float) -> str:
    """The text to record: the key, and the time just before the create, in seconds since 1970."""
    return json.dumps({"key": key, "at": round(now, 3)})


def intent_time(recorded: str | None, now: float) -> float:
    """The time of the recorded create, in seconds since 1970; 0 when nothing was recorded.

    A text that can't be parsed, or a time in the future (a clock was set back), counts as now: that is safe, and costs
    one settle window.
    """
    if recorded is None:
        return 0.0
    try:
        at = float(parse_json(recorded)["at"])
    except (ValueError, TypeError, KeyError):
        return now
    return min(now, at)  # in this order NaN counts as now, too


class IntentFile:
    """One key's intent as a file on this machine; a second machine needs a record that both can read."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / f"{key}.json"

    def read(self) -> str | None:
        """The recorded text; None when there is none."""
        try:
            return self.path.read_bytes().decode("utf-8", "replace")  # a damaged record counts as one of now
        except FileNotFoundError:
            return None

    def record(self, text: str) -> None:
        """Writes `text` so that it survives a power cut.

        Raises:
            StorageError: The disk is full or read-only.
        """
        write_atomic(self.path, text, durable=True)
