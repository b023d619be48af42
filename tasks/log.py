"""A step's lines: to Prefect's run log, and marked for the command line's progress."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.logging.loggers import PrefectLogAdapter

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
