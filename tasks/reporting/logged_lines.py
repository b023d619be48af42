"""What a run's log holds already, so that a retry doesn't say it again."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Log
from prefect.client.schemas.sorting import LogSort
from prefect.runtime import flow_run

PAGE = 200
"""The most lines that Prefect's server answers at once."""


def printed(name: str) -> list[str]:
    """The lines that this flow run's log has of the logger whose last part is `name`; none outside of a run.

    Prefect's server is asked, not a file: the attempt that printed them may have run on another machine, and what it
    could not send any more was not printed.
    """
    run = flow_run.id
    return [line.message for line in lines_of_run(UUID(str(run))) if line.name.endswith(f".{name}")] if run else []


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
