"""Kills the local service at random moments while jobs are created, run and end; counts what was lost or run twice.

    python benchmarks/local_vertex/kills.py [--kills 100] [--seed 1]

Every job writes into one file that it began and that it ended, and prints three lines. A client creates jobs as an
exactly-once submission does: after an error it looks for the job's label before it creates again.
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
def say(word):
    with open(witness, "a") as file:
        file.write(f"{word} {key}\\n")
say("begin")
for number in range(3):
    print(key, "line", number, flush=True)
    time.sleep(float(seconds) / 3)
say("end")
"""


@dataclass
class Report:
    """What came of a campaign; every list is empty when all went well."""

    kills: int = 0
    jobs: int = 0
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    wrong_lines: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing twice, every line once."""
        return not (self.lost or self.doubled or self.unfinished or self.wrong_lines)


def campaign(home: Home, image: str, witness: Path, *, kills: int, seed: int) -> Report:
    """Kills the service that many times, then lets everything end and compares.

    Args:
        home: A fresh one; its service may run.
        image: What the jobs run in, as processes.
        witness: A file for the jobs to write to.
        kills: How often.
        seed: Of the random moments.
    """
    begin, random_moments = time.monotonic(), random.Random(seed)
    witness.touch()
    creator = Creator(home, image, witness, seed)
    creator.start()
    creator.wait_for_one_more()
    for number in range(kills):
        running = lifecycle.ensure_running(home)
        if number % 2:
            creator.wait_for_one_more()  # or a slow machine would be killed before it created anything
        time.sleep(random_moments.uniform(0.0, 0.5))
        kill(running.pid)
    creator.enough.set()
    creator.join()
    store = Store(endpoint.store_path(home), read_only=True)
    deadline = time.monotonic() + 60
    while store.live() and time.monotonic() < deadline:
        lifecycle.ensure_running(home)  # as a client does: what it found may just have been dying of a kill
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
    """Creates jobs one after the other, whatever happens to the service."""

    def __init__(self, home: Home, image: str, witness: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.created: dict[str, str] = {}
        self.enough = threading.Event()
        self._one_more = threading.Event()
        self._home, self._image, self._witness = home, image, witness
        self._random = random.Random(seed + 1)

    def run(self) -> None:
        """Until told that it is enough."""
        while not self.enough.is_set():
            key = f"k{len(self.created)}"
            self.created[key] = self._create(key)
            self._one_more.set()
            time.sleep(self._random.uniform(0.0, 0.05))

    def wait_for_one_more(self) -> None:
        """Until a job was created, at most half a minute."""
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
    """What the client was told, what the store knows and what the jobs wrote: all must agree."""
    said = Counter(witness)
    records = {record.labels["key"]: record for _, record in store.find(limit=1_000_000)}
    report = Report(jobs=len(created))
    report.doubled = [line for line, count in said.items() if count > 1]
    for key, name in created.items():
        record = records.get(key)
        if record is None or record.id != name.rpartition("/")[2] or not said[f"begin {key}"]:
            report.lost.append(key)
        elif record.state != "JOB_STATE_SUCCEEDED" or not said[f"end {key}"]:
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
    """Prints the report; 1 when anything was lost or doubled."""
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
