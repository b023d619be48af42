"""Runs the steps of a flow one after another, and records how each ended."""

from __future__ import annotations

import time
from typing import Any, TypeVar, cast

from prefect.client.schemas.objects import State
from prefect.tasks import Task

from ..tasks.reporting.progress import EVERY, Progress, shown
from ..tasks.reporting.step_log import log_plain_errors
from ..tasks.stopping import run_end
from .lost_results import FinishedSteps
from .result import StepReport

T = TypeVar("T")


class Steps:
    """The steps of one flow run. As long as it lives, the run's log shows errors without tracebacks.

    Attributes:
        reports: One for each step that has run, including the one that failed.
        results: What each step returned, by its name.
        subject: The project's name, for the names of task runs; empty until it is known.
        progress: The run's progress bar.
        links: Addresses of the run's pages in a browser, by what they show.

    Args:
        bar_every: Seconds between updates of the progress bar in Prefect's UI, and before the first one.
    """

    def __init__(self, bar_every: float = EVERY) -> None:
        self.reports: list[StepReport] = []
        self.results: dict[str, Any] = {}
        self.subject = ""
        self.progress = Progress(every=bar_every)
        self.links: dict[str, str] = {}
        self._finished_before = FinishedSteps()
        log_plain_errors(self)

    def run(self, step: Task[..., T], *args: object, **options: object) -> T:
        """Runs one step in this thread, so that a cancellation reaches it.

        Raises:
            Exception: What the step raised after its retries.
        """
        if step.name != "watch":  # which cancels the job that exists by then
            run_end.check()
        self._finished_before.warn_if_lost(step)
        if self.subject:
            step = step.with_options(task_run_name=f"{step.name} {self.subject}".replace("{", "{{").replace("}", "}}"))
        begin = time.perf_counter()
        with shown(self.progress):
            self.progress.begin(step.name)
            state = cast("State[T]", step(*args, **options, return_state=True))
        self.reports.append(StepReport(step.name, state.name or state.type.value, time.perf_counter() - begin))
        result = state.result()
        self.progress.finish()
        self.results[step.name] = result
        return result
