"""Times as Cloud Storage writes them."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache


@lru_cache(64)
def api_time(microseconds: int) -> str:
    """A time of the JSON API, as "2026-11-30T02:26:49.123Z"; from microseconds since 1970."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:03d}Z"


def http_time(microseconds: int) -> str:
    """A time of a header, as "Mon, 30 Nov 2026 02:26:49 GMT"."""
    return formatdate(microseconds / 1e6, usegmt=True)
