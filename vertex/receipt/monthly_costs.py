"""What jobs have cost, by month and project: from the service's own list, by the price that each job's label says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..client.calls import seconds
from ..client.connection import Connection
from ..labels import RUN_LABEL
from ..submit.spending import billed
from .recorded_runs import jobs_with_label, project_of_job

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

DAYS = 365
"""How far back jobs are counted."""


@dataclass(frozen=True, slots=True)
class MonthlyCost:
    """What a project's jobs of one month cost.

    Attributes:
        month: In which they were created, by UTC, as "2026-11".
        project: The project's name.
        jobs: How many there were.
        usd: What they have cost, by list prices.
        unknown: How many of them are not in `usd`, because nobody knows their price.
    """

    month: str
    project: str
    jobs: int
    usd: float
    unknown: int


def monthly_costs(
    connection: Connection, project: str = "", *, clock: Callable[[], float] = time.time
) -> list[MonthlyCost]:
    """The costs of the last twelve months, the newest month first.

    Args:
        connection: Where the jobs ran.
        project: Name of a project; empty for all.
        clock: Seconds since 1970.

    Raises:
        VertexError: The jobs can't be listed.
    """
    now = clock()
    sums: dict[tuple[str, str], MonthlyCost] = {}
    for job in _recent(connection, now):
        name = project_of_job(job)
        if project not in {"", name}:
            continue
        month = datetime.fromtimestamp(seconds(job.create_time), UTC).strftime("%Y-%m")
        old = sums.get((month, name), MonthlyCost(month, name, 0, 0.0, 0))
        cost = billed(job).cost(now)
        sums[month, name] = MonthlyCost(
            month, name, old.jobs + 1, old.usd + (cost or 0.0), old.unknown + (cost is None)
        )
    return sorted(sums.values(), key=lambda cost: (cost.month, cost.project), reverse=True)


def _recent(connection: Connection, now: float) -> Iterator[CustomJob]:
    since = datetime.fromtimestamp(now, UTC) - timedelta(days=DAYS)
    moment = since.strftime("%Y-%m-%dT%H:%M:%SZ")
    return jobs_with_label(connection, f'labels.{RUN_LABEL}:* AND create_time>="{moment}"')
