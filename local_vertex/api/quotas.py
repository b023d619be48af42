"""The request quotas of the real service, as token buckets: of their own for each project and region."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..faults import Faults
from .status import ApiError, Code, ErrorInfo

# For each quota: the setting with its rate, and the service's names for the quota metric and the API.
_QUOTAS = {
    "reads": ("reads_per_minute", "Resource management read requests", "aiplatform.googleapis.com"),
    "submissions": ("submissions_per_minute", "Job submission requests", "aiplatform.googleapis.com"),
    "log_reads": ("log_reads_per_minute", "Read requests", "logging.googleapis.com"),
}


class Quotas:
    """One token bucket for each quota, project and region: full at first, refilled steadily, with room for a minute's.

    Args:
        faults: Whether quotas are enforced, and their rates; read at every call.
        consumer: The default project's number.
        clock: Monotonic time, in seconds.
    """

    def __init__(self, faults: Faults, consumer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults = faults
        self._consumer = consumer
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[tuple[str, str, str], tuple[float, float]] = {}  # tokens used, and the time of that count

    def spend(self, quota: str, project: str = "", region: str = "") -> None:
        """Counts one request.

        Args:
            quota: "reads", "submissions" or "log_reads".
            project: The project's number; empty for the default project.
            region: The region; empty for a quota of the whole project.

        Raises:
            ApiError: RESOURCE_EXHAUSTED if the quota is used up.
        """
        setting, metric, api = _QUOTAS[quota]
        project = project or self._consumer
        if not self._faults.value("quotas", region):
            return
        rate = self._faults.value(setting, region)
        key = (quota, project, region)
        with self._lock:
            now = self._clock()
            used, since = self._used.get(key, (0.0, now))
            used = max(0.0, used - (now - since) * rate / 60)
            enough = used + 1 <= rate
            self._used[key] = (used + 1 if enough else used, now)
        if not enough:
            raise ApiError(
                Code.RESOURCE_EXHAUSTED,
                f"Quota exceeded for quota metric '{metric}' and limit '{metric} per minute' of service '{api}'"
                f" for consumer 'project_number:{project}'.",
                info=ErrorInfo(
                    "RATE_LIMIT_EXCEEDED", "googleapis.com", {"service": api, "consumer": f"projects/{project}"}
                ),
            )
