"""The asynchronous form of a flow: the same flow in a thread of its own, while the event loop goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from ...tasks.stopping import run_end
from ...tasks.stopping.stop_job import WINDOW

P = ParamSpec("P")
R = TypeVar("R")


def with_parameters_of(flow: Callable[P, R]) -> Callable[..., Callable[P, Awaitable[R]]]:  # noqa: ARG001
    """For type checkers: the decorated function has the flow's parameters."""
    return lambda function: function


async def in_thread(flow: Callable[..., R], *args: Any, **parameters: Any) -> R:  # noqa: ANN401 - the flow's own
    """Runs a flow without blocking the event loop. When the calling task is cancelled, the flow's jobs are, too.

    Raises:
        asyncio.CancelledError: This task was cancelled; the flow's steps have been asked to end.
    """
    return await run_end.in_thread(partial(flow, *args, **parameters), patience=WINDOW)
