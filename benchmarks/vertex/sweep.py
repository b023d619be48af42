"""Counts the reads a minute that watching a sweep's jobs from one process takes, at the pace used in the cloud.

    python benchmarks/vertex/sweep.py [--jobs 1000] [--minutes 2]

local_vertex keeps the jobs PENDING (no process runs) and enforces quotas: a tenth of Vertex AI's 600 reads a
minute, and Cloud Logging's 60. Each job has a watcher in its own thread, like the tasks of a flow. Requests of
Google's clients are counted, including those that the quota refused. At the end all jobs are cancelled, and each
watcher must report that. The table also shows what as many separate watchers would need.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import admin
from prefect_vertex_training.vertex.client.connection import CLOUD, Connection
from prefect_vertex_training.vertex.job_types import JobRequest, Outcome
from prefect_vertex_training.vertex.submit.submission import job_key, submit
from prefect_vertex_training.vertex.watch.watch import watch

READS, LOG_READS = 60.0, 60.0


class Counting:
    """Wraps one of Google's clients and counts its calls; each page of a list is one call."""

    def __init__(self, client: Any, calls: Counter[str]) -> None:  # noqa: ANN401 - either client
        self._client = client
        for name in ("get_custom_job", "list_custom_jobs", "list_log_entries"):
            method = client.transport._wrapped_methods.get(getattr(client.transport, name, None))  # noqa: SLF001
            if method is not None:
                client.transport._wrapped_methods[getattr(client.transport, name)] = _counted(method, name, calls)  # noqa: SLF001

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the client's own
        return getattr(self._client, name)


def _counted(method: Any, name: str, calls: Counter[str]) -> Any:  # noqa: ANN401 - as the client's own
    def run(*args: Any, **more: Any) -> Any:  # noqa: ANN401
        calls[name] += 1
        return method(*args, **more)

    return run


def main() -> int:
    """Prints the table; returns 1 when a watcher failed or the quota was exceeded."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "local_vertex"))
    from images import tiny_image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=2.0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sweep-"))
    home = Home(folder / "home")
    try:
        return measure(home, tiny_image(home, folder / "image"), options.jobs, options.minutes)
    finally:
        lifecycle.stop(home)
        shutil.rmtree(folder, ignore_errors=True)


def measure(home: Home, image: str, count: int, minutes: float) -> int:
    """Submits the jobs, watches them for `minutes`, cancels them."""
    running = lifecycle.ensure_running(home)
    admin(running, "Switches", {"pending_seconds": 86400.0})
    names = [create(Connection.local(home), image, number) for number in range(count)]
    connection, calls = Connection.local(home, pace=CLOUD), Counter[str]()
    connection._cached["jobs"] = Counting(connection.jobs, calls)  # noqa: SLF001 - no public way in
    connection._cached["logs"] = Counting(connection.logs, calls)  # noqa: SLF001
    quotas = {"quotas": True, "reads_per_minute": READS, "log_reads_per_minute": LOG_READS}
    admin(running, "Switches", quotas)
    outcomes: list[Outcome] = []

    def follow(name: str, created: float) -> None:
        outcomes.append(watch(connection, name, on_state=lambda _: None, on_lines=lambda _: None, created=created))

    threads = [threading.Thread(target=follow, args=job, daemon=True) for job in names]
    for thread in threads:
        thread.start()
    time.sleep(20)  # the first list, and reads of single jobs before there were many
    calls.clear()
    begin = time.monotonic()
    time.sleep(60 * minutes)
    elapsed, counted = (time.monotonic() - begin) / 60, Counter(calls)
    admin(running, "Switches", {"quotas": False})
    cancelling = Connection.local(home)
    for name, _ in names:
        cancelling.jobs.cancel_custom_job(name=name, timeout=30)
    admin(running, "Switches", quotas)
    calls.clear()
    begin = time.monotonic()
    for thread in threads:
        thread.join(300)
    ending, at_end = (time.monotonic() - begin) / 60, Counter(calls)
    report(count, elapsed, counted, ending, at_end)
    states = Counter(outcome.state for outcome in outcomes)
    print(f"\noutcomes: {dict(states)}")
    return 0 if states == {"JOB_STATE_CANCELLED": count} else 1


def create(connection: Connection, image: str, number: int) -> tuple[str, float]:
    """Submits one job of the sweep; returns its name and its time of creation."""
    request = JobRequest(display_name=f"sweep {number}", image=image, output=f"gs://local/sweep/{number}")
    job = submit(connection, request, job_key("sweep", str(number)), record=lambda _: None)
    return job.name, job.created


def report(count: int, minutes: float, counted: Counter[str], ending: float, at_end: Counter[str]) -> None:
    """Prints the table."""
    alone = count * 60 / (4 * CLOUD.poll)
    print(f"\n{count} jobs watched by one process for {minutes:.1f} minutes, then ended at once\n")
    print(f"{'requests a minute':34} {'jobs':>8} {'of 600':>8} {'log':>6} {'of 60':>7}")
    rows = [
        ("one watcher a job, at its slowest", alone, count * 60 / CLOUD.log_poll),
        ("shared, while they run", *_rates(counted, minutes)),
        ("shared, while all of them end", *_rates(at_end, max(ending, 1.0))),
    ]
    for name, reads, logs in rows:
        print(f"{name:34} {reads:8.1f} {reads / 6:7.1f}% {logs:6.1f} {logs / 0.6:6.1f}%")


def _rates(calls: Counter[str], minutes: float) -> tuple[float, float]:
    return (calls["get_custom_job"] + calls["list_custom_jobs"]) / minutes, calls["list_log_entries"] / minutes


if __name__ == "__main__":
    sys.exit(main())
