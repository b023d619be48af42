"""The rates the real service allows a project and region, as token buckets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..faults import Switches
from .status import ApiError, Code

# Switch that holds the rate, and how the service calls the quota: metric, limit, API.
_QUOTAS = {
    "reads": ("reads_per_minute", "Resource management read requests", "aiplatform.googleapis.com"),
    "submissions": ("submissions_per_minute", "Job submission requests", "aiplatform.googleapis.com"),
    "log_reads": ("log_reads_per_minute", "Read requests", "logging.googleapis.com"),
}


class Quotas:
    """One bucket a quota: full at first, refilled steadily, never above a minute's worth.

    Args:
        switches: Say whether quotas hold, and their rates; asked at every call.
        consumer: The project's number, for the error's text.
        clock: Seconds, monotonic.
    """

    def __init__(self, switches: Switches, consumer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._switches = switches
        self._consumer = consumer
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, tuple[float, float]] = {}  # tokens used up, and when that was so

    def spend(self, quota: str) -> None:
        """Takes one token.

        Args:
            quota: "reads", "submissions" or "log_reads".

        Raises:
            ApiError: RESOURCE_EXHAUSTED, when none is left.
        """
        switch, metric, api = _QUOTAS[quota]
        if not self._switches.quotas:
            return
        rate = getattr(self._switches, switch)
        with self._lock:
            now = self._clock()
            used, since = self._used.get(quota, (0.0, now))
            used = max(0.0, used - (now - since) * rate / 60)
            enough = used + 1 <= rate
            self._used[quota] = (used + 1 if enough else used, now)
        if not enough:
            raise ApiError(
                Code.RESOURCE_EXHAUSTED,
                f"Quota exceeded for quota metric '{metric}' and limit '{metric} per minute' of service '{api}'"
                f" for consumer 'project_number:{self._consumer}'.",
            )
