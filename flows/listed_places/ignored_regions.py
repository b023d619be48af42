"""Regions that a person leaves out of the fall-back lists of runs that exist: a Retry can't change their parameters."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from prefect.client.orchestration import get_client

from ...tasks.reporting.step_log import step_log
from ...vertex.fallback.driver import IGNORED_REGIONS


def all_ignored(given: Sequence[str], listed: Collection[str]) -> list[str]:
    """The run's own ignored regions, and those of the list that Prefect's variable names.

    Args:
        given: The run's own.
        listed: The regions of the run's list.
    """
    with get_client(sync_client=True) as client:
        found = client.read_variable_by_name(IGNORED_REGIONS)
    value = found.value if found else []
    names = value.replace(",", " ").split() if isinstance(value, str) else value if isinstance(value, list) else []
    more = [str(name) for name in names if str(name) in listed and str(name) not in given]
    if more:
        step_log("submit", level=logging.WARNING)(
            f"{', '.join(more)} is neither asked nor used, because Prefect's variable {IGNORED_REGIONS} names it; "
            "remove it there when the region answers again"
        )
    return [*given, *more]
