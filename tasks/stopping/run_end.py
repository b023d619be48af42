"""Tells steps that run in other threads than the main one that their run is being ended.

Signals and Prefect's cancellation reach only the main thread. A step that waits in another one looks here.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import TypeVar

from ...prefect_private import cancel_was_requested

T = TypeVar("T")

_LOOK_EVERY = 0.5
"""Seconds between looks for Prefect's request to end this process."""

_ENDED: ContextVar[threading.Event | None] = ContextVar("ended", default=None)


class RunEnded(BaseException):
    """The run is being ended. No `Exception`, as Prefect's own signals: code that handles failures lets it pass."""


def check() -> None:
    """Ends the step if its run is being ended.

    Raises:
        RunEnded: It is, and this is not the main thread, which is told otherwise.
    """
    event = _ENDED.get()
    ended = event is not None and event.is_set()
    if ended or (threading.current_thread() is not threading.main_thread() and cancel_was_requested()):
        raise RunEnded


def sleep(seconds: float) -> None:
    """Waits, as `time.sleep`, but not longer than until the run is being ended.

    Raises:
        RunEnded: As `check`.
    """
    if threading.current_thread() is threading.main_thread():
        time.sleep(seconds)
        return
    end = time.monotonic() + seconds
    event = _ENDED.get() or threading.Event()
    while True:
        check()
        left = end - time.monotonic()
        if left <= 0:
            return
        event.wait(min(left, _LOOK_EVERY))


def called_until(event: threading.Event, work: Callable[[], T]) -> T:
    """Calls `work` in this thread and context; its steps end when the event is set.

    Args:
        event: Set when the run is being ended.
        work: Waits with `sleep`, and looks with `check`.
    """
    _ENDED.set(event)
    return work()


async def in_thread(work: Callable[[], T], *, patience: float) -> T:
    """Calls `work` in a thread of its own, without blocking the event loop; a cancellation ends its steps.

    Args:
        work: Called in this task's context, so that a flow in it becomes a part of the current flow run.
        patience: Seconds that `work` may take to end after a cancellation.

    Raises:
        asyncio.CancelledError: This task was cancelled; `work` has ended, if it did so in time.
    """
    event = threading.Event()
    context = copy_context()
    context.run(_ENDED.set, event)
    future = asyncio.get_running_loop().run_in_executor(None, lambda: context.run(work))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        event.set()
        await asyncio.wait([future], timeout=patience)
        raise
