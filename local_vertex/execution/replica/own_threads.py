"""Runs blocking calls in threads of their own, so that one that hangs holds up only those that need the same thing.

The event loop's own pool has a handful of threads: forty jobs whose registry is out of reach would fill it, and every
other job would wait. Threads here are daemons: a call that hangs doesn't keep the service from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_AT_A_TIME = 4
"""Calls for one key at a time; further ones wait without a thread."""


class OwnThreads:
    """Runs blocking calls, a few at a time for each key; to be used in one event loop."""

    def __init__(self) -> None:
        self._limits: dict[str, asyncio.Semaphore] = {}

    async def run(self, key: str, call: Callable[[], T], *, at_a_time: int = _AT_A_TIME) -> T:
        """The result of a call, which runs in a thread of its own.

        Args:
            key: What the call may hang on, for example a registry's host.
            call: What to do.
            at_a_time: How many calls for this key may run at a time.
        """
        limit = self._limits.setdefault(key, asyncio.Semaphore(at_a_time))
        async with limit:
            return await _in_thread(call)


async def _in_thread(call: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def set_result(result: T) -> None:
        if not future.done():
            future.set_result(result)

    def set_error(error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    def work() -> None:
        # The event loop may be closed by now: then the service is ending, and nobody waits for the result.
        with contextlib.suppress(RuntimeError):
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller
                loop.call_soon_threadsafe(set_error, error)
            else:
                loop.call_soon_threadsafe(set_result, result)

    threading.Thread(target=work, name="blocking call", daemon=True).start()
    return await future
