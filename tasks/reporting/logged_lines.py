"""Reads lines of a run's log from Prefect's server, so that a retry does not log them again."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Log
from prefect.client.schemas.sorting import LogSort
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run

PAGE = 200
"""Most lines in one answer of Prefect's server."""


def logged_lines(name: str) -> list[str]:
    """The lines in this flow run's log from the logger whose last name part is `name`; none outside of a run.

    They are read from Prefect's server, because an earlier attempt may have run on another machine. Lines that it could
    not send are not in the run's log.
    """
    run = flow_run.id
    if not run:
        return []
    APILogHandler().flush()  # lines of an earlier attempt in this process may not have been sent yet
    return [line.message for line in lines_of_run(UUID(str(run))) if line.name.endswith(f".{name}")]


def lines_of_run(run: UUID) -> Iterator[Log]:
    """Every line of a flow run's log, in order."""
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        offset = 0
        while True:
            page = client.read_logs(log_filter=wanted, limit=PAGE, offset=offset, sort=LogSort.TIMESTAMP_ASC)
            yield from page
            if len(page) < PAGE:
                return
            offset += PAGE
