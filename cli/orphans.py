"""`vertex-training orphans`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import TrainingError
from .load_blocks import load_vertex
from .prefect_server import require_prefect

if TYPE_CHECKING:
    from ..flows.orphans import Orphan


def list_orphans(*, vertex: str | None, cancel: bool, unknown: bool, as_json: bool) -> int:
    """Prints the orphans, cancels them if asked to, and returns the exit code: 2 when one could not be ended."""
    require_prefect()
    from ..flows.block_parameters import connect
    from ..flows.orphans import UNKNOWN, end_orphan, find_orphans

    connection = connect(load_vertex(vertex))
    orphans = find_orphans(connection)
    if not as_json:
        print_table(orphans, time.time())
    results = {orphan.job.name: "left" for orphan in orphans}
    for orphan in orphans if cancel else ():
        if orphan.run_state == UNKNOWN and not unknown:
            continue
        try:
            ended = end_orphan(connection, orphan)
            results[orphan.job.name] = "cancelled" if ended else "left: its run goes on"
        except TrainingError as error:
            results[orphan.job.name] = f"failed: {error}"
        if not as_json:
            print(f"{orphan.job.name}  {results[orphan.job.name]}")
    if as_json:
        print(json.dumps([_plain(orphan, results[orphan.job.name]) for orphan in orphans]))
    elif any(orphan.run_state == UNKNOWN for orphan in orphans) and not unknown:
        print(
            "unknown: not a run of this Prefect server, perhaps of another. Look before you end one; "
            "--cancel --unknown ends those too",
            file=sys.stderr,
        )
    return 2 if any(result.startswith("failed") for result in results.values()) else 0


def print_table(orphans: Sequence[Orphan], now: float) -> None:
    """A line for each job."""
    if not orphans:
        print("no orphans: every live job has a live run")
        return
    print(f"{'job is':<10} {'age':>7}  {'run is':<10} {'machine':<24} job")
    for orphan in orphans:
        job = orphan.job
        state = job.state.removeprefix("JOB_STATE_")
        print(f"{state:<10} {age(now - job.created):>7}  {orphan.run_state:<10} {job.machine:<24} {job.name}")
        print(f"{'':<31}{job.title}, run {orphan.run}" + (f", {job.console}" if job.console else ""))


def age(seconds: float) -> str:
    """As "3d04h", "5h12m" or "45s"."""
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
