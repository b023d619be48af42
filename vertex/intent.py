"""The text that is recorded before a create, so that whoever comes after a crash knows a job may be on its way."""

from __future__ import annotations

import json


def intent_text(key: str, now: float) -> str:
    """What is recorded: the key, and when the create was about to be sent, in seconds since 1970."""
    return json.dumps({"key": key, "at": round(now, 3)})


def intent_time(recorded: str | None, now: float) -> float:
    """When the recorded create was about to be sent; long ago when nothing was recorded.

    A text that can't be read, or a time in the future (a clock was set back), counts as now: it is safe, and costs one
    settle window.
    """
    if recorded is None:
        return 0.0
    try:
        return min(float(json.loads(recorded)["at"]), now)
    except (ValueError, TypeError, KeyError):
        return now
