"""Reads lines of a run's log from Prefect's server, so that a retry does not log them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Log
from prefect.client.schemas.sorting import LogSort
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run

PAGE = 200
"""Most records in one answer of Prefect's server."""

LEFT_OUT = "left_out"
"""Last part of the name of the logger that says how many lines were left out; each of its messages begins with that."""


@dataclass(slots=True)
class Logged:
    """What a run's log has of a job's lines.

    Attributes:
        lines: The lines, in order.
        left_out: How many others were counted, and not written.
    """

    lines: list[str] = field(default_factory=list)
    left_out: int = 0


def logged_before(name: str) -> Logged:
    """What this flow run's log has from the logger whose last name part is `name`; nothing outside of a run.

    It is read from Prefect's server, because an earlier attempt may have run on another machine. Lines that it could
    not send are not in the run's log.
    """
    found = Logged()
    run = flow_run.id
    if not run:
        return found
    APILogHandler().flush()  # lines of an earlier attempt in this process may not have been sent yet
    for record in records_of_run(UUID(str(run))):
        if record.name.endswith(f".{name}"):
            found.lines += record.message.split("\n")
        elif record.name.endswith(f".{name}.{LEFT_OUT}"):
            found.left_out += int(record.message.split()[0].replace(",", ""))
    return found


def lines_of_run(run: UUID) -> Iterator[str]:
    """Every line of a flow run's log, in order; a record may hold many."""
    for record in records_of_run(run):
        yield from record.message.split("\n")


def records_of_run(run: UUID) -> Iterator[Log]:
    """Every record of a flow run's log, in order."""
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        offset = 0
        while True:
            page = client.read_logs(log_filter=wanted, limit=PAGE, offset=offset, sort=LogSort.TIMESTAMP_ASC)
            yield from page
            if len(page) < PAGE:
                return
            offset += PAGE
