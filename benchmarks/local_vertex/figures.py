"""Measures the local service: start, create, get, many jobs, lists, memory.

    python benchmarks/local_vertex/figures.py [--jobs 1000] [--stored 5000]

Uses Google's client and a service in a temporary home; the jobs run `true` as processes.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import endpoint, lifecycle
from prefect_vertex_training.local_vertex.client import open_channel, set_faults
from prefect_vertex_training.local_vertex.store.records import TERMINAL
from prefect_vertex_training.local_vertex.store.store import Store

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob, JobServiceClient

from images import tiny_image


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--stored", type=int, default=5000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="local-vertex-"))
    home = Home(folder / "home")
    print(f"{'figure':<44}{'measured':>12}{'target':>12}")
    try:
        measure(home, folder, options.jobs, options.stored)
    finally:
        lifecycle.stop(home)
        shutil.rmtree(folder, ignore_errors=True)


def measure(home: Home, folder: Path, jobs: int, stored: int) -> None:
    """Measures and prints each figure."""
    lifecycle.ensure_running(home)  # fills the cache of the API's messages
    lifecycle.stop(home)
    ready, empty = [], []
    for _ in range(15):  # one after the other, so that both see the same machine
        ready.append(start_seconds(home))
        empty.append(empty_python_seconds())
    row("ready after start, median of 15 (ms)", statistics.median(ready) * 1e3, 200)
    print(f"{'  beside an empty Python that imports grpc (ms)':<44}{statistics.median(empty) * 1e3:>12.1f}", flush=True)
    job = demo(tiny_image(home, folder / "project"))
    running = lifecycle.ensure_running(home)
    client = connect(running)

    def create() -> CustomJob:
        return client.create_custom_job(parent=running.parent, custom_job=job)

    set_faults(running, {"pending_seconds": 3600.0})
    row("create, median of 300 (ms)", median(create, 300) * 1e3, 6)
    name = create().name
    row("get, median of 1000 (ms)", median(lambda: client.get_custom_job(name=name), 1000) * 1e3, 2)
    set_faults(running, {"pending_seconds": 0.0})
    for waiting in client.list_custom_jobs(parent=running.parent):
        client.cancel_custom_job(name=waiting.name)
    wait_for_all(client, running.parent)
    row(f"{jobs} jobs of `true` created and finished (s)", run_many(client, running.parent, job, jobs), 10)
    lifecycle.stop(home)
    fill(home, stored)
    running = lifecycle.ensure_running(home)
    client = connect(running)
    for label, text in (("one match", "labels.key=k77"), ("a page of 100", "labels.kind=stored")):
        request = {"parent": running.parent, "filter": text}
        seconds = median(lambda request=request: client.list_custom_jobs(request), 50)
        row(f"list {stored} jobs by label, {label} (ms)", seconds * 1e3, 10)
    total = sum(1 for _ in client.list_custom_jobs(parent=running.parent))
    row(f"memory of the service with {total} jobs (MB)", memory(running.pid), 150)


def row(figure: str, value: float, target: float) -> None:
    """Prints a row of the table."""
    print(f"{figure:<44}{value:>12.1f}{'<= ' + format(target, 'g'):>12}", flush=True)


def median(call: Callable[[], object], times: int) -> float:
    """Median duration of a call, in seconds."""
    durations = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        durations.append(time.perf_counter() - begin)
    return statistics.median(durations)


def start_seconds(home: Home) -> float:
    """Duration of a start, until the service responds."""
    begin = time.perf_counter()
    lifecycle.ensure_running(home)
    seconds = time.perf_counter() - begin
    lifecycle.stop(home)
    return seconds


def empty_python_seconds() -> float:
    """Duration of a Python that imports grpc, and does nothing else."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import grpc"], check=True)
    return time.perf_counter() - begin


def connect(running: endpoint.LocalService) -> JobServiceClient:
    """Google's client for the service."""
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport

    return JobServiceClient(transport=JobServiceGrpcTransport(channel=open_channel(running)))


def demo(image: str) -> dict[str, Any]:
    """A job that runs `true`."""
    container = {"image_uri": image, "command": ["true"]}
    pool = {"replica_count": 1, "machine_spec": {"machine_type": "n1-standard-4"}, "container_spec": container}
    return {"display_name": "figures", "job_spec": {"worker_pool_specs": [pool]}}


def run_many(client: JobServiceClient, parent: str, job: dict[str, Any], count: int) -> float:
    """Seconds to create jobs and wait for the end of all."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.create_custom_job(parent=parent, custom_job=job), range(count)))
    wait_for_all(client, parent)
    seconds = time.perf_counter() - begin
    failed = list(client.list_custom_jobs({"parent": parent, "filter": 'state="JOB_STATE_FAILED"'}))
    if failed:
        raise SystemExit(f"{len(failed)} jobs failed, one with: {failed[0].error.message}")
    return seconds


def wait_for_all(client: JobServiceClient, parent: str) -> None:
    """Waits for the end of all jobs."""
    live = " AND ".join(f'state!="{state}"' for state in TERMINAL)
    request = {"parent": parent, "filter": live, "page_size": 1}
    while next(client.list_custom_jobs(request).pages).custom_jobs:
        time.sleep(0.02)


def fill(home: Home, count: int) -> None:
    """Stores copies of an ended job with labels, until `count` jobs are stored."""
    store = Store(endpoint.store_path(home))
    (_, pattern), *_ = store.find("state = 'JOB_STATE_SUCCEEDED'", limit=1)
    for number in range(count - sum(store.count_by_state().values())):
        store.create(replace(pattern, id=str(number + 1), labels={"key": f"k{number}", "kind": "stored"}))
    store.close()


def memory(pid: int) -> float:
    """Resident memory of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
