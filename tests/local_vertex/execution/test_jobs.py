"""Jobs whose replicas are real processes, from their creation to their end."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

FIRST_TIME = "First time usage might take couple of minutes, and subsequent runs can be much faster."
BEGINNING = [
    "Waiting for job to be provisioned.",
    f"Vertex AI is provisioning job running framework. {FIRST_TIME}",
    "Vertex AI is setting up this job.",
    "Waiting for training program to start.",
    "Job is preparing.",
]
ENDING = ["Tearing down training program.", "Finished tearing down training program."]

FOREVER = "import time\nprint('up', flush=True)\nwhile True: time.sleep(0.05)\n"


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pid: int) -> bool:
    """Whether a process ends within a minute."""
    deadline = time.monotonic() + 60
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(pid)


def test_a_job_that_exits_0_succeeds(harness: Any, images: Any, pool: Any) -> None:
    """It is RUNNING with a start time in whole seconds, then SUCCEEDED; the service logs each step."""
    record = harness.run(pool(images.image(Entrypoint=["true"])))

    assert record.state == "JOB_STATE_SUCCEEDED"
    assert record.error_code is None
    assert record.start_time == int(record.start_time)
    assert harness.lines(record.id, "service") == [
        *BEGINNING,
        "Job is running.",
        *ENDING,
        "Job completed successfully.",
    ]


def test_nothing_stays_of_a_job_that_ended(harness: Any, images: Any, pool: Any) -> None:
    """Its folder is removed, its bucket is not."""
    record = harness.run(
        pool(images.image(Entrypoint=["true"])), base_output_directory={"output_uri_prefix": "gs://b/x"}
    )
    deadline = time.monotonic() + 60
    while (harness.folder / "runs" / record.id).exists() and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not (harness.folder / "runs" / record.id).exists()
    assert (harness.folder / "buckets" / "b" / "x" / "model").is_dir()


def test_the_script_of_an_image_runs_with_its_arguments(harness: Any, images: Any, pool: Any) -> None:
    """ENTRYPOINT is kept, args follow it with $(VAR) expanded, paths point to this machine."""
    image = images.script(
        "import json, os, sys; print(json.dumps({'a': sys.argv[1:], 'd': os.getcwd(), 'e': dict(os.environ)}))"
    )
    record = harness.run(
        pool(image, args=["--to=$(AIP_MODEL_DIR)", "$$(X)", "/gcs/b/f"], env={"X": "1", "Y": "$(X)2"}),
        base_output_directory={"output_uri_prefix": "gs://b/run"},
    )
    (said,) = harness.lines(record.id, "workerpool0-0")
    bucket = harness.folder / "buckets" / "b"

    assert said["a"] == ["--to=gs://b/run/model/", "$(X)", "/gcs/b/f"]
    assert said["e"]["Y"] == "12"
    assert said["e"]["AIP_CHECKPOINT_DIR"] == "gs://b/run/checkpoints/"
    assert said["e"]["CLOUD_ML_JOB_ID"] == record.id
    assert said["e"]["CLOUD_ML_PROJECT_ID"] == "123456"
    assert json.loads(said["e"]["CLUSTER_SPEC"])["task"] == {"type": "workerpool0", "index": 0}
    assert "TF_CONFIG" not in said["e"]
    assert (bucket / "run" / "model").is_dir()


def test_a_job_sees_nothing_of_the_service(
    harness: Any, images: Any, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's own variables, and so its secrets, don't reach a job."""
    monkeypatch.setenv("MY_SECRET", "x")
    harness.run(pool(images.image(Entrypoint=["true"])))
    record = harness.run(pool(images.image(Entrypoint=["env"])))
    names = {line.partition("=")[0] for line in harness.lines(record.id, "workerpool0-0")}

    assert names == {
        *("PATH", "HOME", "TMPDIR", "LANG", "CLUSTER_SPEC", "VERTEX_TRAINING_RUN"),
        *("CLOUD_ML_PROJECT_ID", "CLOUD_ML_JOB_ID", "CLOUD_ML_REGION"),
        *("STORAGE_EMULATOR_HOST", "CLOUD_STORAGE_EMULATOR_ENDPOINT", "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"),
        *("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"),
        *("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", "CLOUDSDK_AUTH_TOKEN_HOST", "CLOUDSDK_CORE_PROJECT"),
    }


def test_a_script_finds_its_buckets_below_gcs_and_over_the_api(harness: Any, images: Any, pool: Any) -> None:
    """A file written below /gcs is an object, and an object is a file there."""
    image = images.script(
        "import os, urllib.request as u\n"
        "url = os.environ['STORAGE_EMULATOR_HOST'] + '/storage/v1/b/b/o/run%2Fmodel%2Fm?alt=media'\n"
        "folder = os.environ['AIP_MODEL_DIR'].replace('gs://', '/gcs/')\n"
        "open(folder + 'm', 'w').write('weights')\n"
        "print(u.urlopen(url).read().decode())"
    )
    record = harness.run(pool(image), base_output_directory={"output_uri_prefix": "gs://b/run"})

    assert harness.lines(record.id, "workerpool0-0") == ["weights"]
    assert (harness.folder / "buckets" / "b" / "run" / "model" / "m").read_text() == "weights"


def test_a_script_that_takes_a_gs_uri_for_a_path_fails(harness: Any, images: Any, pool: Any) -> None:
    """In the cloud its model would be lost; the message says what to write instead."""
    image = images.script(
        "import os, pathlib\n"
        "folder = pathlib.Path(os.environ['AIP_MODEL_DIR']); folder.mkdir(parents=True); (folder / 'm').touch()"
    )
    record = harness.run(pool(image), base_output_directory={"output_uri_prefix": "gs://b/run"})

    assert record.state == "JOB_STATE_FAILED"
    assert 'Write uri.replace("gs://", "/gcs/", 1)' in record.error_message


def test_console_scripts_of_an_image_run_with_its_python(harness: Any, images: Any, pool: Any) -> None:
    """Their shebang line is changed from the image's interpreter to this machine's."""
    tool = b"#!/opt/vertex-training/venv/bin/python\nimport sys, thing; print(thing.NAME, sys.prefix)\n"
    layers = [
        [
            ("opt/vertex-training/venv/bin/tool", tool),
            ("opt/vertex-training/venv/lib/python3.11/site-packages/thing.py", b"NAME = 'ours'\n"),
        ],
        [("app/x", b"")],
    ]
    record = harness.run(
        pool(images.image(layers, python="3.11", WorkingDir="/app", Entrypoint=["/opt/vertex-training/venv/bin/tool"]))
    )

    (line,) = harness.lines(record.id, "workerpool0-0")
    assert line.startswith("ours ")
    assert str(harness.folder / "trees") in line


def test_a_job_that_changes_its_code_changes_no_other_job(harness: Any, images: Any, pool: Any) -> None:
    """Each replica has its own working directory."""
    image = images.script("import pathlib; p = pathlib.Path('n'); print(p.exists()); p.write_text('')")
    first, second = harness.run(pool(image)), harness.run(pool(image))

    assert harness.lines(first.id, "workerpool0-0") == ["False"]
    assert harness.lines(second.id, "workerpool0-0") == ["False"]


def test_an_image_for_a_python_that_is_not_here_fails_with_the_reason(harness: Any, images: Any, pool: Any) -> None:
    """The error has one line and names the version."""
    record = harness.run(pool(images.image(Entrypoint=["true"], python="3.99")))

    assert record.state == "JOB_STATE_FAILED"
    assert "needs Python 3.99, and this machine has none" in record.error_message


def test_a_failing_job_tells_its_exit_status(harness: Any, images: Any, pool: Any) -> None:
    """The error has code 3 and Vertex AI's text; entries from stderr have the severity ERROR."""
    image = images.script("import sys; print('out'); sys.exit('bad luck')")
    record = harness.run(pool(image))

    assert (record.state, record.error_code) == ("JOB_STATE_FAILED", 3)
    assert record.error_message.startswith(
        "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error. "
    )
    found = harness.store.find_logs("job_id = ? AND task = 'workerpool0-0'", [record.id])
    assert {(line.entry.severity, line.entry.payload) for line in found} == {("INFO", "out"), ("ERROR", "bad luck")}


def test_a_missing_command_is_a_start_error(harness: Any, images: Any, pool: Any) -> None:
    """The exit status is 128, and the job was never RUNNING."""
    record = harness.run(pool(images.image(Entrypoint=["/no/such/program"])))

    assert "non-zero status of 128. Termination reason: StartError. " in record.error_message
    assert record.start_time is None


def test_an_image_with_a_base_needs_an_engine(
    harness: Any, images: Any, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an engine the job fails with an error that says so."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    record = harness.run(pool(images.image(Entrypoint=["true"], base="sha256:1")))

    assert record.state == "JOB_STATE_FAILED"
    assert "no Docker engine answers" in record.error_message
    assert "\n" not in record.error_message


def test_an_image_that_is_not_there_fails_the_job(harness: Any, images: Any, pool: Any) -> None:
    """The error names the image."""
    image = f"oci:{images.layout.folder}:demo@sha256:{'0' * 64}"
    record = harness.run(pool(image))

    assert (record.state, record.error_code) == ("JOB_STATE_FAILED", 3)
    assert image in record.error_message


def test_cancelling_ends_the_process_and_the_job(harness: Any, images: Any, pool: Any) -> None:
    """The job is CANCELLED with code 1; the process gets SIGTERM first."""
    image = images.script(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        "print(os.getpid(), flush=True)\nwhile True: time.sleep(0.05)\n"
    )
    job = harness.submit(pool(image))
    harness.reached(job, lambda _: harness.lines(job, "workerpool0-0"))
    harness.cancel(job)
    record = harness.ended(job)
    pid, last = harness.lines(job, "workerpool0-0")

    assert (record.state, record.error_code) == ("JOB_STATE_CANCELLED", 1)
    assert last == "bye"
    assert not is_alive(int(pid))


def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(harness: Any, images: Any, pool: Any) -> None:
    """All its descendants are killed, even in sessions of their own."""
    harness.faults.update({"grace_seconds": 0.2})
    image = images.script(
        "import os, signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "near = subprocess.Popen(['sleep', '1000'])\n"
        "far = subprocess.Popen(['setsid', 'sleep', '1000'])\n"
        "print(os.getpid(), near.pid, far.pid, flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    job = harness.submit(pool(image))
    harness.reached(job, lambda _: harness.lines(job, "workerpool0-0"))
    harness.cancel(job)
    harness.ended(job)

    assert all(gone(int(pid)) for pid in harness.lines(job, "workerpool0-0")[0].split())


def test_a_job_that_waits_can_be_cancelled(harness: Any, images: Any, pool: Any) -> None:
    """It is cancelled before its replicas start, and has a start time all the same."""
    harness.faults.update({"pending_seconds": 1000.0})
    job = harness.submit(pool(images.image(Entrypoint=["true"])))
    harness.cancel(job)
    record = harness.ended(job)

    assert (record.state, record.error_code, record.error_message) == ("JOB_STATE_CANCELLED", 1, "CANCELED")
    assert record.create_time <= record.start_time <= record.create_time + 0.1
    assert record.end_time == record.update_time
    assert harness.lines(job, "service")[-1] == "Job cancelled."
    assert "Job is running." not in harness.lines(job, "service")


def test_time_that_runs_out_ends_the_job(harness: Any, images: Any, pool: Any) -> None:
    """The job fails after scheduling.timeout."""
    record = harness.run(pool(images.script(FOREVER)), scheduling={"timeout": "1s"})

    assert (record.state, record.error_code) == ("JOB_STATE_FAILED", 4)
    assert "time limit" in record.error_message


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_crash_is_restarted_three_times(harness: Any, images: Any, pool: Any, number: int) -> None:
    """After exit status 134 or 139 the replica runs four times in total."""
    image = images.script(f"import os; print('run', flush=True); os.kill(os.getpid(), {int(number)})")
    record = harness.run(pool(image))

    assert harness.lines(record.id, "workerpool0-0") == ["run"] * 4
    assert f"non-zero status of {128 + number}" in record.error_message


def test_disable_retries_leaves_a_crash_alone(harness: Any, images: Any, pool: Any) -> None:
    """The replica runs once."""
    image = images.script("import os; print('run', flush=True); os.abort()")
    record = harness.run(pool(image), scheduling={"disable_retries": True})

    assert harness.lines(record.id, "workerpool0-0") == ["run"]
    assert record.state == "JOB_STATE_FAILED"


def test_another_exit_status_is_permanent(harness: Any, images: Any, pool: Any) -> None:
    """After exit status 7 the replica is not restarted."""
    record = harness.run(pool(images.script("print('run', flush=True); raise SystemExit(7)")))

    assert harness.lines(record.id, "workerpool0-0") == ["run"]
    assert "status of 7." in record.error_message


def test_stock_out_is_tried_three_times_again(harness: Any, images: Any, pool: Any) -> None:
    """The job succeeds after three, and fails with the recorded text after four."""
    image = images.image(Entrypoint=["true"])
    harness.faults.update({"stock_out": 3})
    survived = harness.run(pool(image))
    harness.faults.update({"stock_out": 4})
    failed = harness.run(pool(image))

    assert survived.state == "JOB_STATE_SUCCEEDED"
    assert failed.state == "JOB_STATE_FAILED"
    assert failed.error_message == (
        "Resources are insufficient in region: us-central1. Please try a different region or use a different "
        "accelerator."
    )


def test_preemption_starts_the_job_again(harness: Any, images: Any, pool: Any) -> None:
    """After two preemptions the third attempt succeeds."""
    harness.faults.update({"preempt": 2})
    record = harness.run(pool(images.image(Entrypoint=["sleep", "0.5"])))

    assert record.state == "JOB_STATE_SUCCEEDED"
    assert record.detail["restarts"] == {"preempted": 2}


def test_preemption_ends_the_job_after_six_restarts(harness: Any, images: Any, pool: Any) -> None:
    """The seventh preemption fails the job."""
    harness.faults.update({"preempt": 7})
    record = harness.run(pool(images.image(Entrypoint=["sleep", "1000"])))

    assert record.detail["restarts"] == {"preempted": 6}
    assert record.state == "JOB_STATE_FAILED"
    assert "preempted" in record.error_message


def test_out_of_memory_fails_the_job(harness: Any, images: Any, pool: Any) -> None:
    """The error has the recorded text."""
    harness.faults.update({"out_of_memory": 1})
    record = harness.run(pool(images.image(Entrypoint=["sleep", "1000"])))

    assert record.error_message == (
        "Replicas low on memory: workerpool0. Specify a machine with larger memory and try again."
    )


def test_two_replicas_exchange_a_value(harness: Any, images: Any, pool: Any, exchange: str) -> None:
    """They connect through MASTER_ADDR; when the primary ends, the worker is stopped and the job succeeds."""
    image = images.script(exchange)
    record = harness.run(pool(image), pool(image))

    assert record.state == "JOB_STATE_SUCCEEDED"
    assert harness.lines(record.id, "workerpool0-0") == ["got from worker of 2"]
    assert harness.lines(record.id, "workerpool1-0") == ["got from primary"]


def test_pools_get_the_addresses_of_each_other(harness: Any, images: Any, pool: Any) -> None:
    """A skipped pool has no replicas, ranks follow the pools, and each replica has its own port."""
    image = images.script(
        "import json, os; e = os.environ; print(json.dumps({'r': e['RANK'], 't': e['TF_CONFIG'],"
        " 'c': e['CLUSTER_SPEC']}), flush=True); import time; time.sleep(0.3)"
    )
    record = harness.run(pool(image), {}, pool(image, replicas=2))
    (said,) = harness.lines(record.id, "workerpool2-1")
    cluster = json.loads(said["c"])["cluster"]

    assert said["r"] == "2"
    assert json.loads(said["t"])["task"] == {"type": "ps", "index": 1}
    assert sorted(cluster) == ["workerpool0", "workerpool2"]
    assert len({*cluster["workerpool0"], *cluster["workerpool2"]}) == 3


def test_a_failing_worker_fails_the_job(harness: Any, images: Any, pool: Any) -> None:
    """The primary is stopped."""
    record = harness.run(
        pool(images.image(Entrypoint=["sleep", "1000"])), pool(images.image(Entrypoint=["sh", "-c", "exit 5"]))
    )

    assert "The replica workerpool1-0 exited with a non-zero status of 5." in record.error_message


def test_a_crashed_worker_restarts_the_job_when_asked(harness: Any, images: Any, pool: Any) -> None:
    """With restart_job_on_worker_restart, the primary is restarted too."""
    record = harness.run(
        pool(images.script(FOREVER)),
        pool(images.image(Entrypoint=["sh", "-c", "sleep 0.2; exit 139"])),
        scheduling={"restart_job_on_worker_restart": True},
    )

    assert record.detail["restarts"] == {"crashed": 3}
    assert harness.lines(record.id, "workerpool0-0") == ["up"] * 4


def test_the_teardown_delay_keeps_a_job_running(harness: Any, images: Any, pool: Any) -> None:
    """The job ends only after the delay, which is about a minute on the real service."""
    harness.faults.update({"teardown_seconds": 0.5})
    record = harness.run(pool(images.image(Entrypoint=["true"])))

    assert record.end_time - record.create_time >= 0.5


def test_no_shell_sees_what_a_client_sent(harness: Any, images: Any, pool: Any, tmp_path: Path) -> None:
    """Arguments and variables are never interpreted by a shell."""
    evil = f"$(touch {tmp_path}/x); `touch {tmp_path}/x` && touch {tmp_path}/x\n'\""
    record = harness.run(pool(images.image(Entrypoint=["echo"]), args=[evil], env={"A": evil}))

    assert record.state == "JOB_STATE_SUCCEEDED"
    assert not (tmp_path / "x").exists()


def test_a_lost_supervisor_is_the_platforms_fault(harness: Any, images: Any, pool: Any) -> None:
    """Its processes are ended, and the job is restarted."""
    image = images.script("import os, time; print(os.getppid(), os.getpid(), flush=True); time.sleep(1000)")
    job = harness.submit(pool(image))
    harness.reached(job, lambda _: len(harness.lines(job, "workerpool0-0")) == 1)
    supervisor, pid = map(int, harness.lines(job, "workerpool0-0")[0].split())
    os.kill(supervisor, signal.SIGKILL)
    harness.reached(job, lambda _: len(harness.lines(job, "workerpool0-0")) == 2)

    assert gone(pid)
    assert harness.store.get(job).detail["restarts"] == {"internal": 1}
