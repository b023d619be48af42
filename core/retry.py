"""Trying again: exponential back-off with jitter, for errors that say they are transient."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from .errors import TrainingError

T = TypeVar("T")


def is_transient(error: BaseException) -> bool:
    """True where trying the same thing again can help; the one place that decides it.

    Every `TrainingError` knows. Of the rest, only lost connections and time-outs count.
    """
    if isinstance(error, TrainingError):
        return error.transient
    return isinstance(error, (ConnectionError, TimeoutError))


def backoff(base: float = 0.2, factor: float = 2.0, limit: float = 20.0) -> Iterator[float]:
    """Endless waits in seconds: full jitter below an exponentially growing ceiling.

    Full jitter spreads callers that failed together: each wait is uniform in [ceiling / 2, ceiling].
    """
    ceiling = base
    while True:
        yield random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, guards nothing
        ceiling = min(ceiling * factor, limit)


def retry(
    action: Callable[[], T],
    *,
    attempts: int = 5,
    waits: Iterator[float] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    retryable: Callable[[BaseException], bool] = is_transient,
) -> T:
    """Calls `action` until it succeeds, fails for good, or `attempts` are used up; raises its last error."""
    waits = waits or backoff()
    for attempt in range(1, attempts + 1):
        try:
            return action()
        except Exception as error:
            if attempt == attempts or not retryable(error):
                raise
            sleep(next(waits))
    raise AssertionError("attempts must be at least 1")
