"""Kills the local service at random times while jobs are created, run and end; counts jobs lost or run twice.

    python benchmarks/local_vertex/kills.py [--kills 100] [--seed 1]

Every job writes to one file when it begins and when it ends, and prints three lines. A client creates jobs as for an
exactly-once submission: after an error it lists jobs with the label before it creates one again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import endpoint, lifecycle
from prefect_vertex_training.local_vertex.client import open_channel
from prefect_vertex_training.local_vertex.store.store import Store

if TYPE_CHECKING:
    import grpc
    from google.cloud.aiplatform_v1 import JobServiceClient

JOB = """
import os, sys, time
witness, key, seconds = sys.argv[1:]
def write(word):
    with open(witness, "a") as file:
        file.write(f"{word} {key}\\n")
write("begin")
for number in range(3):
    print(key, "line", number, flush=True)
    time.sleep(float(seconds) / 3)
write("end")
"""


@dataclass
class Report:
    """The result of a campaign; without errors, every list is empty."""

    kills: int = 0
    jobs: int = 0
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    wrong_lines: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether no job was lost or run twice, and each line is stored once."""
        return not (self.lost or self.doubled or self.unfinished or self.wrong_lines)


def campaign(home: Home, image: str, witness: Path, *, kills: int, seed: int) -> Report:
    """Kills the service many times, waits for the end of all jobs, and compares.

    Args:
        home: A new home folder; its service may run.
        image: An image without a base, for the jobs.
        witness: The file that the jobs write to.
        kills: The number of kills.
        seed: Seed for the random times.
    """
    begin, random_times = time.monotonic(), random.Random(seed)
    witness.touch()
    creator = Creator(home, image, witness, seed)
    creator.start()
    creator.wait_for_one_more()
    for number in range(kills):
        running = lifecycle.ensure_running(home)
        if number % 2:
            creator.wait_for_one_more()  # a slow machine would be killed before it has created a job
        time.sleep(random_times.uniform(0.0, 0.5))
        kill(running.pid)
    creator.enough.set()
    creator.join()
    store = Store(endpoint.store_path(home), read_only=True)
    deadline = time.monotonic() + 60
    while store.live() and time.monotonic() < deadline:
        lifecycle.ensure_running(home)  # as a client does: the service that it found may have been dying
        time.sleep(0.05)
    report = compare(store, creator.created, witness.read_text().splitlines())
    report.kills, report.seconds = kills, time.monotonic() - begin
    store.close()
    return report


def kill(pid: int) -> None:
    """Sends SIGKILL and waits for the end: while it dies, a process is still found as the running service."""
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the process has ended and was reaped
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" or threads(pid) > 1:
            time.sleep(0.005)


def threads(pid: int) -> int:
    """The number of a process's threads."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


class Creator(threading.Thread):
    """Creates jobs one after the other, also while the service is killed."""

    def __init__(self, home: Home, image: str, witness: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.created: dict[str, str] = {}
        self.enough = threading.Event()
        self._one_more = threading.Event()
        self._home, self._image, self._witness = home, image, witness
        self._random = random.Random(seed + 1)

    def run(self) -> None:
        """Creates jobs until `enough` is set."""
        while not self.enough.is_set():
            key = f"k{len(self.created)}"
            self.created[key] = self._create(key)
            self._one_more.set()
            time.sleep(self._random.uniform(0.0, 0.05))

    def wait_for_one_more(self) -> None:
        """Waits for the next job, at most 30 s."""
        self._one_more.clear()
        self._one_more.wait(30)

    def _create(self, key: str) -> str:
        from google.api_core.exceptions import GoogleAPICallError

        while True:
            running = lifecycle.ensure_running(self._home)
            with open_channel(running) as channel:
                client = _client(channel)
                try:
                    request = {"parent": running.parent, "filter": f"labels.key={key}"}
                    found = [job.name for job in client.list_custom_jobs(request, timeout=10)]
                    return found[0] if found else self._submit(client, running.parent, key)
                except GoogleAPICallError:
                    continue

    def _submit(self, client: JobServiceClient, parent: str, key: str) -> str:
        seconds = str(self._random.choice([0.0, 0.05, 0.3, 1.0]))
        arguments = ["-c", JOB, str(self._witness), key, seconds]
        container = {"image_uri": self._image, "command": ["python3"], "args": arguments}
        pool = {"replica_count": 1, "machine_spec": {"machine_type": "n1-standard-4"}, "container_spec": container}
        job = {"display_name": key, "labels": {"key": key}, "job_spec": {"worker_pool_specs": [pool]}}
        return client.create_custom_job(parent=parent, custom_job=job, timeout=10).name


def compare(store: Store, created: dict[str, str], witness: list[str]) -> Report:
    """Compares the responses to the client, the store and the file that the jobs wrote."""
    written = Counter(witness)
    records = {record.labels["key"]: record for _, record in store.find(limit=1_000_000)}
    report = Report(jobs=len(created))
    report.doubled = [line for line, count in written.items() if count > 1]
    for key, name in created.items():
        record = records.get(key)
        if record is None or record.id != name.rpartition("/")[2] or not written[f"begin {key}"]:
            report.lost.append(key)
        elif record.state != "JOB_STATE_SUCCEEDED" or not written[f"end {key}"]:
            report.unfinished.append(f"{key} {record.state} {record.error_message or ''}")
        else:
            lines = store.find_logs("job_id = ? AND task = 'workerpool0-0'", [record.id])
            texts = [line.entry.payload for line in lines]
            if texts != [f"{key} line {number}" for number in range(3)]:
                report.wrong_lines.append(f"{key} {texts}")
    return report


def _client(channel: grpc.Channel) -> JobServiceClient:
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport

    return JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))


def main() -> int:
    """Prints the report; returns 1 if a job was lost or run twice."""
    from images import tiny_image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    home = Home(folder / "home")
    try:
        image = tiny_image(home, folder / "project")
        report = campaign(home, image, folder / "witness", kills=options.kills, seed=options.seed)
    finally:
        lifecycle.stop(home)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{report.kills} kills, {report.jobs} jobs, {report.seconds:.0f} s")
    for name in ("lost", "doubled", "unfinished", "wrong_lines"):
        found = getattr(report, name)
        print(f"{name + ':':<13}{len(found)}", *found[:10], sep="\n  " if found else "")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
