"""Points in time as text."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(moment: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(moment, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: object) -> float:
    """The seconds since 1970 of such a text; 0 for anything else."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
