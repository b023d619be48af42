"""Says where a run's page is as soon as the run has begun."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .output import print_step

if TYPE_CHECKING:
    from .prefect_server.kept_server import KeptServer

_RUNS = "prefect.flow_runs"
"""Prefect's logger of runs; its records have the run's id."""


@contextmanager
def page_announced(kept: KeptServer | None) -> Iterator[None]:
    """Prints the address of the page of the run that begins in the block, and how to log in.

    Args:
        kept: The kept server, if it is used.
    """
    handler = _FirstRun(lambda run: _announce(run, kept))
    logger = logging.getLogger(_RUNS)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _FirstRun(logging.Handler):
    """Calls a function with the id of the first run that logs something."""

    def __init__(self, begun: Callable[[str], None]) -> None:
        super().__init__()
        self._begun: Callable[[str], None] | None = begun

    def emit(self, record: logging.LogRecord) -> None:
        """Takes note of the record's run."""
        run = getattr(record, "flow_run_id", None)
        if run and self._begun:
            begun, self._begun = self._begun, None
            begun(str(run))


def _announce(run: str, kept: KeptServer | None) -> None:
    if kept is not None:
        print_step("page", f"{kept.pages}/runs/flow-run/{run}")
        print_step("page", "log in there with the password that this prints: vertex-training local open")
        return
    from prefect.settings import PREFECT_API_URL
    from prefect.utilities.urls import url_for

    # A temporary server has no pages.
    if PREFECT_API_URL.value() and (url := url_for("flow-run", obj_id=run)):
        print_step("page", url)
