"""What is recorded before a create, so that whoever comes after a crash knows that a job may be on its way."""

from __future__ import annotations

import json
from pathlib import Path

from ...core.files import write_atomic


def intent_text(key: str, now: float) -> str:
    """What is recorded: the key, and when the create was about to be sent, in seconds since 1970."""
    return json.dumps({"key": key, "at": round(now, 3)})


def intent_time(recorded: str | None, now: float) -> float:
    """When the recorded create was about to be sent; long ago when nothing was recorded.

    A text that can't be read, or a time in the future (a clock was set back), counts as now: that is safe, and costs
    one settle window.
    """
    if recorded is None:
        return 0.0
    try:
        at = float(json.loads(recorded)["at"])
    except (ValueError, TypeError, KeyError):
        return now
    return min(now, at)  # in this order NaN is now, too


class IntentFile:
    """Keeps one key's intent in a folder of this machine; another machine needs a record that both can read."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / f"{key}.json"

    def read(self) -> str | None:
        """What was recorded, None for nothing."""
        try:
            return self.path.read_text("utf-8")
        except FileNotFoundError:
            return None

    def record(self, text: str) -> None:
        """Keeps `text`, also through a power cut.

        Raises:
            StorageError: The disk is full or read-only.
        """
        write_atomic(self.path, text, durable=True)
