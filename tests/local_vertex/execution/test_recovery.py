"""After a service is killed at any time, every job is continued, none runs twice, and no line is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fixtures.suite.hypothesis_profile import examples
from prefect_vertex_training.core.errors import StorageError
from prefect_vertex_training.local_vertex.store.records import TERMINAL, JobRecord, LogEntry
from prefect_vertex_training.local_vertex.store.store import Store

KILLS = examples(12)
"""The service, with its API and more jobs, is killed more often by a benchmark."""

# The part of the service that matters here, in a process that can be killed: it runs the store's jobs, and creates and
# submits the jobs that are named on its input.
SERVICE = """
import json, sys
from pathlib import Path
from prefect_vertex_training.local_vertex.execution.executor import Executor
from prefect_vertex_training.local_vertex.location import Location
from prefect_vertex_training.local_vertex.store.records import JobRecord
from prefect_vertex_training.local_vertex.store.store import Store
from prefect_vertex_training.local_vertex.faults import Faults

folder = Path(sys.argv[1])
store = Store(folder / "store.db")
executor = Executor(store, folder, Faults(), location=Location("local", "1", "us-central1"))
executor.start()
for line in sys.stdin:
    job = json.loads(line)
    store.create(JobRecord(id=job["id"], spec=job["spec"]))
    print(job["id"], flush=True)
    executor.submit(job["id"])
"""


class Service:
    """A service in its own process."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVICE, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def create(self, job_id: str, spec: dict[str, Any]) -> None:
        """Requests a job, without waiting until it exists."""
        import json

        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": job_id, "spec": spec}) + "\n")

    def kill(self) -> set[str]:
        """Sends SIGKILL; returns the jobs that the service has confirmed."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.stdout is not None
        confirmed = {line.strip() for line in self.process.stdout if line.endswith("\n")}
        self.process.wait()
        return confirmed


def test_kills_at_any_moment_lose_no_job_and_run_none_twice(tmp_path: Path, images: Any, pool: Any) -> None:
    """Jobs are created, run and end while their service is killed at random times."""
    folder = tmp_path / "v"
    folder.mkdir()
    store = Store(folder / "store.db")
    ran = tmp_path / "ran"
    # One line a run, in one write, which the kernel keeps whole; then some lines over some time.
    program = f"echo $CLOUD_ML_JOB_ID >> {ran}; for i in 1 2 3; do echo line $i; sleep 0.0$1; done; exit $2"
    image = images.image(Entrypoint=["/bin/sh", "-c", program, "sh"])
    chance = random.Random(7)
    created = 0
    confirmed: set[str] = set()
    for _ in range(KILLS):
        service = Service(folder)
        for _ in range(2):
            created += 1
            arguments = [str(chance.randrange(10)), str(int(created % 5 == 0))]
            service.create(str(created), {"worker_pool_specs": [pool(image, args=arguments)]})
        # From "still importing" over "creating" and "starting" to "ended", as fast or slow as this machine is.
        if chance.random() < 0.8:
            assert service.process.stdout is not None
            confirmed.add(service.process.stdout.readline().strip())
        time.sleep(chance.random() * 0.1)
        confirmed |= service.kill()
    last = Service(folder)
    deadline = time.monotonic() + 60
    while store.live() and time.monotonic() < deadline:
        time.sleep(0.05)
    last.kill()
    records = {record.id: record for _, record in store.find(limit=10_000)}

    assert confirmed <= records.keys()
    assert len(confirmed) > KILLS / 2
    assert {record.state for record in records.values()} == {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"}
    assert all((record.state == "JOB_STATE_FAILED") == (int(record.id) % 5 == 0) for record in records.values())
    assert sorted(ran.read_text().split()) == sorted(records)
    for job in records:
        said = [line.entry.payload for line in store.find_logs("job_id = ? AND task = 'workerpool0-0'", [job])]
        assert said == ["line 1", "line 2", "line 3"]
    store.close()


def test_a_running_job_outlives_its_service_and_is_found(harness: Any, images: Any, pool: Any) -> None:
    """It is the same process, all its lines are stored, and the job succeeds."""
    image = images.script(
        "import os, pathlib, sys, time\nprint(os.getpid(), flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\nprint(os.getpid(), flush=True)\n"
    )
    job = harness.submit(pool(image, args=["/gcs/b/go"]))
    harness.reached(job, lambda _: harness.lines(job, "workerpool0-0"))
    harness.executor.stop()
    (harness.folder / "buckets" / "b" / "go").touch()
    harness.restart()
    record = harness.ended(job)
    first, second = harness.lines(job, "workerpool0-0")

    assert record.state == "JOB_STATE_SUCCEEDED"
    assert first == second


def test_a_run_in_the_format_of_version_0_1_is_continued(harness: Any, images: Any, pool: Any) -> None:
    """The stored plan, the folder of the run and the cursor of the first release: the job ends, and runs only once."""
    harness.executor.stop()
    image = images.image(Entrypoint=["echo", "started again"])
    detail = {"plan": {"attempt": 1, "containers": False, "addresses": {"workerpool0-0": "127.0.0.1:2222"}}}
    spec = {"worker_pool_specs": [pool(image)]}
    harness.store.create(JobRecord(id="7", state="JOB_STATE_RUNNING", spec=spec, detail=detail))
    harness.store.append_logs("7", [LogEntry(1.0, "INFO", "workerpool0-0", "one")], ("1-workerpool0-0.0/stdout", 4))
    run = harness.folder / "runs" / "7" / "1-workerpool0-0.0"
    run.mkdir(parents=True)
    (run / "claim").write_text("d7cfae45-2a48-4dd2-9f41-4f3f6d7ad0f6 123 456")
    (run / "stdout").write_text("one\ntwo\n")
    (run / "stderr").touch()
    (run / "exit").write_text(
        '{"event": "exited", "run": "7/1-workerpool0-0.0", "code": 0, '
        '"reason": "Completed", "message": "", "time": 2.0}'
    )
    harness.restart()

    assert harness.ended("7").state == "JOB_STATE_SUCCEEDED"
    assert harness.lines("7", "workerpool0-0") == ["one", "two"]


def test_an_outcome_in_the_format_of_version_0_1_is_used(harness: Any, images: Any, pool: Any) -> None:
    """A stored outcome ends the job; neither is the replica started nor is the outcome decided again."""
    harness.executor.stop()
    spec = {"worker_pool_specs": [pool(images.image(Entrypoint=["echo", "ran"]))]}
    ending = {"kind": "failed", "code": 4, "message": "The job exceeded its time limit."}
    harness.store.create(JobRecord(id="8", state="JOB_STATE_RUNNING", spec=spec, detail={"ending": ending}))
    harness.restart()
    record = harness.ended("8")

    assert (record.state, record.error_code) == ("JOB_STATE_FAILED", 4)
    assert record.error_message == "The job exceeded its time limit."
    assert harness.lines("8", "workerpool0-0") == []


def test_a_cancel_that_the_service_died_over_is_done_by_the_next(harness: Any, images: Any, pool: Any) -> None:
    """A stored cancellation is carried out by the next service."""
    job = harness.submit(pool(images.script("import os, time; print(os.getpid(), flush=True); time.sleep(1000)")))
    harness.reached(job, lambda _: harness.lines(job, "workerpool0-0"))
    harness.executor.stop()
    harness.store.request_cancel(job)
    harness.restart()

    assert harness.ended(job).state == "JOB_STATE_CANCELLED"
    with pytest.raises(ProcessLookupError):
        os.kill(int(harness.lines(job, "workerpool0-0")[0]), 0)


def test_what_ended_an_attempt_is_decided_once(harness: Any, images: Any, pool: Any) -> None:
    """If a service is killed while it stops replicas, their exit statuses don't become the job's error."""
    job = harness.submit(pool(images.script("import time; print('up', flush=True); time.sleep(1000)")))
    harness.reached(job, lambda _: harness.lines(job, "workerpool0-0"))
    harness.executor.stop()
    ending = {"kind": "failed", "code": 8, "message": "Replicas low on memory: workerpool0."}
    harness.store.note(job, ending=ending)
    harness.restart()

    assert harness.ended(job).error_message == "Replicas low on memory: workerpool0."


def test_folders_of_ended_jobs_are_removed(harness: Any) -> None:
    """Folders that a killed service left behind are removed."""
    left = harness.folder / "runs" / "42"
    left.mkdir()
    harness.store.create(JobRecord(id="42", state="JOB_STATE_SUCCEEDED"))
    harness.restart()
    deadline = time.monotonic() + 60
    while left.exists() and time.monotonic() < deadline:
        time.sleep(0.01)

    assert not left.exists()


def test_a_full_disk_holds_a_job_up_and_loses_nothing(harness: Any, images: Any, pool: Any) -> None:
    """While the store can't be written, the job waits; afterwards nothing is missing."""
    failing = True
    transition, append = harness.store.transition, harness.store.append_logs

    def refuse(*_: object, **__: object) -> bool:
        raise StorageError("database or disk is full")

    def maybe(action: Any) -> Any:
        def call(*args: object, **values: object) -> Any:
            return (refuse if failing else action)(*args, **values)

        return call

    harness.store.transition, harness.store.append_logs = maybe(transition), maybe(append)
    job = harness.submit(pool(images.image(Entrypoint=["echo", "said"])))
    exit_file = harness.folder / "runs" / job / "1-workerpool0-0.0" / "exit"
    harness.reached(job, lambda _: exit_file.exists())
    assert harness.store.get(job).state not in TERMINAL
    failing = False

    assert harness.ended(job).state == "JOB_STATE_SUCCEEDED"
    assert harness.lines(job, "workerpool0-0") == ["said"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted, which only root may")
def test_a_job_on_a_full_disk_fails_with_the_reason(tmp_path: Path, images: Any, pool: Any) -> None:
    """The error says that the disk is full; the store, on another disk, is intact, and a smaller job runs."""
    from prefect_vertex_training.local_vertex.execution.executor import Executor
    from prefect_vertex_training.local_vertex.faults import Faults
    from prefect_vertex_training.local_vertex.location import Location

    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True)
    try:
        store = Store(tmp_path / "store.db")
        executor = Executor(store, disk, Faults(), location=Location("local", "1", "us-central1"))
        executor.start()
        big = images.image(
            [[("data/x", os.urandom(400_000))], [("app/x", b"")]], WorkingDir="/app", Entrypoint=["true"]
        )
        small = images.image(Entrypoint=["true"])
        for number, image in enumerate([big, small]):
            store.create(JobRecord(id=str(number), spec={"worker_pool_specs": [pool(image)]}))
            executor.submit(str(number))
            deadline = time.monotonic() + 60
            while store.get(str(number)).state not in TERMINAL and time.monotonic() < deadline:
                time.sleep(0.01)
        executor.stop()
        failed, fine = store.get("0"), store.get("1")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)

    assert failed.state == "JOB_STATE_FAILED"
    assert "no space left on device" in failed.error_message
    assert fine.state == "JOB_STATE_SUCCEEDED"
    store.append_logs("1", [LogEntry(0.0, "INFO", "t", "sound")])
    store.close()
