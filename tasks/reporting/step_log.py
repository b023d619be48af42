"""Log lines of a step: in Prefect's run log, with the step's name for the command line's display."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast
from weakref import finalize

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.logging.loggers import PrefectLogAdapter

from ...core.errors import TrainingError

LogFunction = Callable[[str], None]

_ON_TERMINAL = ContextVar("on_terminal", default=True)


@contextmanager
def off_terminal() -> Iterator[None]:
    """Keeps the lines of functions that `step_log` returns inside out of a terminal; the run's log has them."""
    token = _ON_TERMINAL.set(False)
    try:
        yield
    finally:
        _ON_TERMINAL.reset(token)


def step_log(step: str, *, level: int = logging.INFO, name: str = "") -> LogFunction:
    """Returns a function that writes a line to the run's log; outside a run to the module's logger.

    Prefect's UI shows the name of each line's logger, which ends in the step's.

    Args:
        step: The step's name.
        level: The level of every line.
        name: Further parts of the logger's name, which tell these lines from others of the run.
    """
    try:
        logger = cast("PrefectLogAdapter", get_run_logger())
    except MissingContextError:
        logger = logging.getLogger(__name__)
    logger = logger.getChild(f"{step}.{name}" if name else step)
    extra = {"step": step} if _ON_TERMINAL.get() else {}
    return lambda line: logger.log(level, "%s", line, extra=extra)


class PlainErrors(logging.Filter):
    """Removes tracebacks of `TrainingError` from a run's log, since its message says everything; others stay.

    Prefect logs one for each task that has no retries left, and two for each flow that failed.
    """

    REPEATS = ("Encountered exception during execution", "Engine execution exited with unexpected exception")
    """Lines of Prefect about a failed flow; its last line, "Finished in state Failed", has the error's message too."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged; one with a `TrainingError` loses its traceback."""
        if record.exc_info and isinstance(record.exc_info[1], TrainingError):
            record.exc_info = None
            return not str(record.msg).startswith(self.REPEATS)
        return True


def log_plain_errors(owner: object) -> None:
    """Filters the logs of runs with `PlainErrors` as long as `owner` lives.

    Prefect logs a flow's error after the flow function has ended, so a `with` block ends too early. A local variable
    of the flow function lasts long enough: the error's traceback keeps it alive until Prefect drops the error.
    """
    plain = PlainErrors()
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logger = logging.getLogger(name)
        logger.addFilter(plain)  # stays when Prefect sets up its logging again, unlike a handler's filter
        finalize(owner, logger.removeFilter, plain)
