"""Prints runs and models as tables that fit a terminal of 80 columns; elsewhere nothing is cut off."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...core.metering.reading import amount, duration
from ..display.lines import terminal_width

if TYPE_CHECKING:
    from rich.table import Table

    from ...flows.history.known_run import KnownRun
    from ...vertex.receipt.monthly_costs import MonthlyCost

_SHORTEST = 8
"""Characters of a run's id that are shown at least."""

_UNLIMITED = 1000
"""Columns where no terminal is."""


def print_runs(runs: Sequence[KnownRun]) -> None:
    """Prints a line for each run: its id, project, state, start, duration, size of the model, metrics."""
    table = _table("run", "project", "state", "started", ">took", ">cost", ">model", "metrics")
    for run, shown in zip(runs, short_ids(runs), strict=True):
        took = duration(run.seconds) if run.seconds else ""
        size = amount(run.size) if run.model else ""
        metrics = run.problem or metrics_text(run.metrics)
        table.add_row(shown, run.project, run.state, moment_text(run.started), took, cost_text(run), size, metrics)
    _print(table)


def print_models(models: Sequence[KnownRun]) -> None:
    """Prints a line for each model, then where each is: a place must be whole to be copied."""
    table = _table("run", "project", "trained", ">size", ">files", "metrics")
    shown = short_ids(models)
    for run, name in zip(models, shown, strict=True):
        trained, metrics = moment_text(run.started), metrics_text(run.metrics)
        table.add_row(name, run.project, trained, amount(run.size), str(run.files), metrics)
    _print(table)
    print()
    for run, name in zip(models, shown, strict=True):
        print(f"{name}  {run.model}")


def plain(run: KnownRun) -> dict[str, Any]:
    """A run as plain values for JSON; its start in RFC 3339, its seconds rounded to milliseconds."""
    data = asdict(run)
    started = datetime.fromtimestamp(run.started).astimezone().isoformat(timespec="seconds") if run.started else None
    return {**data, "started": started, "seconds": round(run.seconds, 3)}


def short_ids(runs: Sequence[KnownRun]) -> list[str]:
    """The beginnings of the runs' ids, as long as it takes to tell them apart: ids begin with the time."""
    ids = [run.run for run in runs]
    length = _SHORTEST
    while len({name[:length] for name in ids}) < len(set(ids)):
        length += 1
    return [name[:length].rstrip("-") for name in ids]


def metrics_text(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """The last value of each metric."""
    return ", ".join(f"{name} {values['last']:.4g}" for name, values in metrics.items() if "last" in values)


def cost_text(run: KnownRun) -> str:
    """What a run cost, in USD; empty on this machine, and for a run that has no job."""
    if run.cost is not None:
        return f"{run.cost:.2f}"
    from ...flows.history.known_run import HERE

    return "unknown" if run.job and run.place != HERE else ""


def print_costs(costs: Sequence[MonthlyCost]) -> None:
    """Prints a line for each month and project, then the sum."""
    table = _table("month", "project", ">jobs", ">USD")
    for cost in costs:
        table.add_row(cost.month, cost.project, str(cost.jobs), usd_text(cost.usd, cost.unknown))
    table.add_row("all", "", str(sum(cost.jobs for cost in costs)), usd_text(*in_all(costs)))
    _print(table)


def in_all(costs: Sequence[MonthlyCost]) -> tuple[float, int]:
    """The sum in USD, and the number of jobs whose cost is not in it."""
    return sum(cost.usd for cost in costs), sum(cost.unknown for cost in costs)


def usd_text(usd: float, unknown: int) -> str:
    """An amount, and how many jobs have none: "12.30", "12.30 and 2 unknown", "unknown"."""
    if not unknown:
        return f"{usd:.2f}"
    return f"{usd:.2f} and {unknown} unknown" if usd else f"{unknown} unknown"


def moment_text(seconds: float) -> str:
    """A time of this machine's clock, as "Nov 30 02:20"; with the year if it was another one."""
    if not seconds:
        return ""
    moment = datetime.fromtimestamp(seconds).astimezone()
    this_year = moment.year == datetime.now().astimezone().year
    return moment.strftime("%b %d %H:%M" if this_year else "%Y-%m-%d")


def _table(*columns: str) -> Table:
    """A table with these headings; a column whose heading begins with ">" is aligned to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        right, metrics = name.startswith(">"), name == "metrics"
        table.add_column(
            name.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=not metrics,
            overflow="fold" if metrics else "ellipsis",
        )
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    Console(width=terminal_width(sys.stdout) or _UNLIMITED, highlight=False).print(table)
