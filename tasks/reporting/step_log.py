"""A step's lines: to Prefect's run log, and marked for the command line's progress."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.logging.loggers import PrefectLogAdapter

from ...core.errors import TrainingError

LogFunction = Callable[[str], None]


def step_log(step: str, *, level: int = logging.INFO, name: str = "") -> LogFunction:
    """Returns a function that writes a line to the run's log; outside a run to the module's logger.

    Args:
        step: The step's name.
        level: Of every line.
        name: Set apart from the run's other lines by this last part of the logger's name.
    """
    try:
        logger = cast("PrefectLogAdapter", get_run_logger())
    except MissingContextError:
        logger = logging.getLogger(__name__)
    if name:
        logger = logger.getChild(name)
    return lambda line: logger.log(level, "%s", line, extra={"step": step})


class PlainErrors(logging.Filter):
    """Keeps tracebacks out of a run's log where the error's own line says it all; those of faults stay.

    Prefect writes one for each task that used up its retries, and two for each flow that failed.
    """

    ECHOES = ("Encountered exception during execution", "Engine execution exited with unexpected exception")
    """Lines of Prefect around a failed flow; its last one, "Finished in state Failed", holds the error's."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is kept; one with a `TrainingError` loses the traceback."""
        if record.exc_info and isinstance(record.exc_info[1], TrainingError):
            record.exc_info = None
            return not str(record.msg).startswith(self.ECHOES)
        return True


def _plain_errors() -> None:
    # A logger's filters stay when Prefect sets up its logging again, as it does at several moments.
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logger = logging.getLogger(name)
        if not any(isinstance(found, PlainErrors) for found in logger.filters):
            logger.addFilter(PlainErrors())


_plain_errors()
