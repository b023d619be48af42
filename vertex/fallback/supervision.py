"""Looks, while a job is watched, whether it is still the one that counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ..job_types import Diagnosis
from . import list_rules as rules
from .driver import Driver
from .job_regions import try_job
from .request_view import Limits

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

_RARELY = 10
"""Settle windows between looks at all regions, once every job must have been listed."""

_AGAIN = 0.5
"""Settle windows between looks while a job's wait is over and it can't be given up."""


class Supervision:
    """Called with a job's state after each read; the watch ends when it returns why.

    Args:
        driver: Asks all regions.
        limits: The list.
        clock: Seconds since 1970.
    """

    def __init__(self, driver: Driver, limits: Limits, *, clock: Callable[[], float] = time.time) -> None:
        self._driver = driver
        self._limits = limits
        self._clock = clock
        self._due = clock() + limits.settle
        self._waited_due = 0.0

    def __call__(self, job: CustomJob) -> Diagnosis | None:
        """Why the job is left; None to go on."""
        seen, now = try_job(job), self._clock()
        over = rules.wait_is_over(self._limits, seen, now) and now >= self._waited_due
        if not over and now < self._due:
            return None
        settle = self._limits.settle
        young = now < seen.created + (rules.LATE + 1) * settle
        self._due, self._waited_due = now + settle * (1 if young else _RARELY), now + settle * _AGAIN
        try:
            if self._driver.follows(seen.name):
                return None
        except TrainingError:  # the next look repeats it, and the service may be back by then
            return None
        if over:
            wait = self._limits.spots[seen.position.entry].wait
            what = f"no machines came in {seen.region} within {wait:.0f} s"
            return Diagnosis("waited", what, "Raise the wait, or add another place to the list", True)
        return Diagnosis("superseded", "another job of this run counts", "Nothing is to be done", True)
