"""`vertex-training orphans`: lists live jobs whose flow run is over, and cancels them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ...core.errors import TrainingError
from ..load_blocks import load_vertex
from ..options import Json, TemporaryServer, VertexBlock
from ..output import print_json, print_message
from ..prefect_session import prefect_session

if TYPE_CHECKING:
    from ...flows.history.orphans import Orphan

_LEFT = "left"
_CANCELLED = "cancelled"
_RUN_IS_LIVE = "left: its run goes on"
_FAILED = "failed: "
"""What became of an orphan. A failure's reason follows."""


def orphans(
    *,
    vertex: VertexBlock = None,
    cancel: Annotated[bool, Parameter(help="Cancel the listed jobs, and wait until each has ended.")] = False,
    unknown: Annotated[
        bool, Parameter(help="With --cancel: also cancel jobs whose run this Prefect server doesn't know.")
    ] = False,
    temporary_server: TemporaryServer = False,
    as_json: Json = False,
) -> int:
    """List the jobs that still run although their flow run is over; with `--cancel`, end them."""
    with prefect_session(temporary=temporary_server):
        from ...flows.history.orphans import end_orphan, find_everywhere

        found, connections = find_everywhere(load_vertex(vertex), warn=print_message)
        if not as_json:
            print_table(found, time.time())
        results = {orphan.job.name: _LEFT for orphan in found}
        for orphan in found if cancel else ():
            if unknown or orphan.run_known:
                results[orphan.job.name] = _cancel(orphan, partial(end_orphan, connections[orphan.job.name]))
                if not as_json:
                    print(f"{orphan.job.name}  {results[orphan.job.name]}")
    if as_json:
        print_json([_plain(orphan, results[orphan.job.name]) for orphan in found])
    elif not unknown:
        _explain_unknown(found)
    return _exit_code(results)


def _cancel(orphan: Orphan, end: Callable[[Orphan], bool]) -> str:
    """Cancels one job by `end`, which is False for a job whose run is live again; returns what became of it."""
    try:
        return _CANCELLED if end(orphan) else _RUN_IS_LIVE
    except TrainingError as error:
        return f"{_FAILED}{error}"


def _exit_code(results: Mapping[str, str]) -> int:
    """2 when a job could not be cancelled."""
    return 2 if any(result.startswith(_FAILED) for result in results.values()) else 0


def _explain_unknown(found: Sequence[Orphan]) -> None:
    if not all(orphan.run_known for orphan in found):
        print_message(
            "unknown: this Prefect server has no such run; it may be another server's. Check before you cancel such "
            "a job; --cancel --unknown cancels those too"
        )


def print_table(found: Sequence[Orphan], now: float) -> None:
    """Prints two lines for each job: its state and machine, then its title, run and console page."""
    if not found:
        print("no orphans: every live job has a live run")
        return
    print(f"{'job is':<10} {'age':>7}  {'run is':<10} {'machine':<24} job")
    for orphan in found:
        job = orphan.job
        state = job.state.removeprefix("JOB_STATE_")
        print(f"{state:<10} {age(now - job.created):>7}  {orphan.run_state:<10} {job.machine:<24} {job.name}")
        print(f"{'':<31}{job.title}, run {orphan.run}" + (f", {job.console}" if job.console else ""))


def age(seconds: float) -> str:
    """A duration in two units at most, such as "3d04h", "5h12m" or "45s"."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60}h{minutes % 60:02}m"
    return f"{minutes // 1440}d{minutes // 60 % 24:02}h"


def _plain(orphan: Orphan, result: str) -> dict[str, Any]:
    job = orphan.job
    return {
        "job": job.name,
        "state": job.state,
        "age": round(time.time() - job.created, 1),
        "machine": job.machine,
        "title": job.title,
        "console": job.console,
        "run": orphan.run,
        "run_state": orphan.run_state,
        "result": result,
    }
