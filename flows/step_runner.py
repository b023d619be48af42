"""Running tasks one after another and keeping an account of them."""

from __future__ import annotations

import time
from typing import Any, TypeVar, cast

from prefect.client.schemas.objects import State
from prefect.tasks import Task

from ..tasks.reporting.progress import Progress, shown
from .lost_results import Earlier
from .result import StepReport

T = TypeVar("T")


class Steps:
    """Calls tasks in order; each call is timed and its final state's name kept.

    Attributes:
        reports: One for each step that has run, the failed one included.
        results: What each step returned, by its name.
        subject: What the steps are done to; stands in the names of their task runs.
        progress: The run's bar.
    """

    def __init__(self) -> None:
        self.reports: list[StepReport] = []
        self.results: dict[str, Any] = {}
        self.subject = ""
        self.progress = Progress()
        self._earlier = Earlier()

    def run(self, step: Task[..., T], *args: object) -> T:
        """Runs one step in this thread, so that a cancellation reaches it.

        Raises:
            Exception: What the step raised after its retries.
        """
        self._earlier.check(step)
        if self.subject:
            step = step.with_options(task_run_name=f"{step.name} {self.subject}".replace("{", "{{").replace("}", "}}"))
        begin = time.perf_counter()
        with shown(self.progress):
            self.progress.begin(step.name)
            state = cast("State[T]", step(*args, return_state=True))
        self.reports.append(StepReport(step.name, state.name or state.type.value, time.perf_counter() - begin))
        result = state.result()
        self.progress.finish()
        self.results[step.name] = result
        return result
