"""The request quotas of the real service, as token buckets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..faults import Faults
from .status import ApiError, Code

# For each quota: the setting with its rate, and the service's names for the quota metric and the API.
_QUOTAS = {
    "reads": ("reads_per_minute", "Resource management read requests", "aiplatform.googleapis.com"),
    "submissions": ("submissions_per_minute", "Job submission requests", "aiplatform.googleapis.com"),
    "log_reads": ("log_reads_per_minute", "Read requests", "logging.googleapis.com"),
}


class Quotas:
    """One token bucket for each quota: full at first, refilled steadily, with room for one minute's tokens.

    Args:
        faults: Whether quotas are enforced, and their rates; read at every call.
        consumer: The project's number, for error messages.
        clock: Monotonic time, in seconds.
    """

    def __init__(self, faults: Faults, consumer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults = faults
        self._consumer = consumer
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, tuple[float, float]] = {}  # tokens used, and the time of that count

    def spend(self, quota: str) -> None:
        """Counts one request.

        Args:
            quota: "reads", "submissions" or "log_reads".

        Raises:
            ApiError: RESOURCE_EXHAUSTED if the quota is used up.
        """
        setting, metric, api = _QUOTAS[quota]
        if not self._faults.quotas:
            return
        rate = getattr(self._faults, setting)
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
