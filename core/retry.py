"""Retries of transient errors, with exponential back-off and jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from .errors import TrainingError

T = TypeVar("T")


def is_transient(error: BaseException) -> bool:
    """Whether trying again can help. Nothing else decides this.

    A `TrainingError` has an attribute for it. Of other exceptions, only lost connections and time-outs are transient.
    """
    if isinstance(error, TrainingError):
        return error.transient
    return isinstance(error, (ConnectionError, TimeoutError))


def backoff(base: float = 0.2, factor: float = 2.0, limit: float = 20.0) -> Iterator[float]:
    """Yields waits in seconds without end; a ceiling grows exponentially from `base` to `limit`.

    Each wait is uniform in [ceiling / 2, ceiling], so that callers that failed together spread out.
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
    """Calls `action` until it succeeds, raises an error that is not retryable, or has been called `attempts` times.

    Raises:
        Exception: The last error of `action`.
    """
    waits = waits or backoff()
    for attempt in range(1, attempts + 1):
        try:
            return action()
        except Exception as error:
            if attempt == attempts or not retryable(error):
                raise
            sleep(next(waits))
    raise AssertionError("attempts must be at least 1")
