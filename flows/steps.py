"""Running tasks one after another and keeping an account of them."""

from __future__ import annotations

import time
from typing import TypeVar, cast

from prefect.client.schemas.objects import State
from prefect.tasks import Task

from .result import StepReport

T = TypeVar("T")


class Steps:
    """Calls tasks in order; each call is timed and its final state's name kept."""

    def __init__(self) -> None:
        self.reports: list[StepReport] = []

    def run(self, step: Task[..., T], *args: object) -> T:
        """Runs one step in this thread, so that a cancellation reaches it.

        Raises:
            Exception: What the step raised after its retries.
        """
        begin = time.perf_counter()
        state = cast("State[T]", step(*args, return_state=True))
        self.reports.append(StepReport(step.name, state.name or state.type.value, time.perf_counter() - begin))
        return state.result()
