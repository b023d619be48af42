"""A step's lines: to Prefect's run log, and marked for the command line's progress."""

from __future__ import annotations

import logging
from collections.abc import Callable

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

LogFunction = Callable[[str], None]


def step_log(step: str) -> LogFunction:
    """Returns a function that writes a line to the run's log; outside a run to the module's logger."""
    try:
        logger = get_run_logger()
    except MissingContextError:
        logger = logging.getLogger(__name__)
    return lambda line: logger.info("%s", line, extra={"step": step})
