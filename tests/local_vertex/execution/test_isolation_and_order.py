"""What a job can reach of this machine, what holds it up, and what is told of its end."""

from __future__ import annotations

import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.errors import RegistryUnavailable
from prefect_vertex_training.local_vertex.execution.replica import image as job_images

TRACEBACK = 'Traceback (most recent call last):\n  File "<string>", line 2, in <module>\n'


def test_a_process_finds_no_program_of_this_machine(
    harness: Any, images: Any, pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither `pip` nor anything else on its PATH, whatever image and job say; the usual tools are there."""
    planted = tmp_path / "bin" / "planted"
    planted.parent.mkdir()
    planted.write_text("#!/bin/sh\n")
    planted.chmod(0o755)
    monkeypatch.setenv("PATH", str(planted.parent), prepend=":")
    code = (
        "import shutil; print(*(str(bool(shutil.which(n))) for n in ('pip', 'git', 'planted', 'sh', 'ls', 'python')))"
    )
    image = images.script(code)
    here = {"PATH": f"{planted.parent}:/opt/vertex-training/venv/bin:/usr/bin:/usr/local/bin"}
    records = [harness.run(pool(image)), harness.run(pool(image, env=here))]
    missing = harness.run(pool(image, command=["pip", "--version"]))

    for record in records:
        assert harness.lines(record.id, "workerpool0-0") == ["False False False True True True"]
    assert "Termination reason: StartError" in missing.error_message


def test_registries_out_of_reach_hold_up_no_other_job(
    harness: Any, images: Any, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good job behind forty whose registries don't answer, one or many, runs at once; they can be cancelled."""
    read, answers = job_images._read, threading.Event()

    def hanging(uri: str, logins: Any) -> Any:
        if "invalid" in uri:
            answers.wait(60)
            raise RegistryUnavailable("no answer", where=uri)
        return read(uri, logins)

    monkeypatch.setattr(job_images, "_read", hanging)
    dead = [harness.submit(pool(f"{host}.invalid/a:{n}")) for n in range(20) for host in ("same", f"other{n}")]
    good = harness.run(pool(images.image(Entrypoint=["true"])))
    waiting = {harness.store.get(job).state for job in dead}
    for job in dead:
        harness.cancel(job)
    answers.set()

    assert good.state == "JOB_STATE_SUCCEEDED"
    assert waiting == {"JOB_STATE_PENDING"}
    assert {harness.ended(job).state for job in dead} == {"JOB_STATE_CANCELLED"}


def test_an_error_holds_the_last_traceback(harness: Any, images: Any, pool: Any) -> None:
    """Whole, between the exit status and where the log is; the service says the same in a line of its own."""
    image = images.script("import sys; print('noise', file=sys.stderr)\nexec('\\nraise ValueError(1)')\n")
    record = harness.run(pool(image))
    found = harness.store.find_logs("job_id = ? AND task = 'service'", [record.id])
    last = [(line.entry.severity, line.entry.payload) for line in found][-3:]

    text = record.error_message
    assert text.startswith(
        "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error. \nTrace"
    )
    assert "ValueError: 1\n\nTo find out more about why your job exited please check the logs: " in text
    assert "noise" not in text
    assert last == [
        ("ERROR", text),
        ("INFO", "Finished tearing down training program."),
        ("INFO", "Job failed."),
    ]


def test_without_a_traceback_the_last_lines_are_told(harness: Any, images: Any, pool: Any) -> None:
    """At most ten of standard error, in both forms of a plain line."""
    harness.faults.update({"plain_lines": "json"})
    image = images.script(
        "import sys\nfor n in range(30): print('line', n, file=sys.stderr)\nprint('out')\nsys.exit(7)"
    )
    record = harness.run(pool(image))

    assert "Error. \nline 20\n" in record.error_message
    assert "line 29\n\nTo find out more" in record.error_message
    assert {"attrs": {"tag": "workerpool0-0"}, "levelname": "INFO", "message": "out"} in harness.lines(record.id)
    error = {"attrs": {"tag": "workerpool0-0"}, "levelname": "ERROR", "message": "line 0"}
    assert error in harness.lines(record.id, "workerpool0-0")


def test_as_many_jobs_run_as_a_region_has_machines(harness: Any, images: Any, pool: Any) -> None:
    """One more stays PENDING until there is room, and can be cancelled meanwhile."""
    harness.faults.update({"capacity": 1})
    long = images.script("import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    first, second, third = (harness.submit(pool(long)) for _ in range(3))
    harness.reached(first, lambda record: record.state == "JOB_STATE_RUNNING")
    harness.cancel(third)
    assert harness.ended(third).state == "JOB_STATE_CANCELLED"
    assert harness.store.get(second).state == "JOB_STATE_PENDING"
    harness.cancel(first)

    harness.reached(second, lambda record: record.state == "JOB_STATE_RUNNING")
    harness.cancel(second)


def test_the_durations_of_the_real_service_are_switches(harness: Any, images: Any, pool: Any) -> None:
    """Teardown, a late state, and a second start of a failed program, whose lines follow those of the first."""
    harness.faults.update({"teardown_seconds": 0.8, "update_lag_seconds": 0.4, "second_start_seconds": 0.2})
    good = harness.run(pool(images.image(Entrypoint=["true"])))
    bad = harness.run(pool(images.script("print('again', flush=True); raise SystemExit(1)")))
    lines = harness.store.find_logs("job_id = ? AND task = 'service'", [good.id])
    times = {line.entry.payload: line.entry.timestamp for line in lines}

    torn_down = times["Finished tearing down training program."] - times["Tearing down training program."]
    assert torn_down >= 0.4  # it begins with the program's end, which a busy machine hears of later
    assert good.update_time - good.end_time >= 0.39
    assert harness.lines(bad.id, "workerpool0-0") == ["again", "again"]
    assert "non-zero status of 1" in bad.error_message


def package(folder: Path, name: str = "trainer-0.1.tar.gz", setup: str = "") -> None:
    """A source distribution with a module that prints its arguments."""
    source = folder.parent / "source"
    (source / "trainer").mkdir(parents=True, exist_ok=True)
    (source / "trainer" / "__init__.py").write_text("")
    (source / "trainer" / "task.py").write_text("import os, sys; print(sys.argv[1:], os.environ['X'])\n")
    (source / "setup.py").write_text(
        setup or "from setuptools import setup; setup(name='trainer', version='0.1', packages=['trainer'])"
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / name, "w:gz") as archive:
        archive.add(source, "trainer-0.1")


def python_pool(*uris: str, image: str = "registry.invalid/training/pytorch-gpu.2-4.py399:latest") -> dict[str, Any]:
    """A pool that runs a package."""
    spec = {"executor_image_uri": image, "package_uris": list(uris), "python_module": "trainer.task"}
    arguments = {"args": ["--model=$(AIP_MODEL_DIR)"], "env": [{"name": "X", "value": "y"}]}
    return {"python_package_spec": {**spec, **arguments}, "replica_count": "1", "machine_spec": {}}


def test_a_package_runs_without_its_image(harness: Any) -> None:
    """In a virtual environment, which the log says, with another Python where the named one isn't here."""
    package(harness.folder / "buckets" / "b")
    record = harness.run(
        python_pool("gs://b/trainer-0.1.tar.gz"), base_output_directory={"output_uri_prefix": "gs://b/o"}
    )

    assert record.state == "JOB_STATE_SUCCEEDED", record.error_message
    said = [line for line in harness.lines(record.id, "service") if "virtual environment" in line or "3.99" in line]
    assert said[0].startswith(
        "The executor image registry.invalid/training/pytorch-gpu.2-4.py399:latest can't be had here"
    )
    assert "has Python 3.99, which this machine lacks" in said[1]
    assert "['--model=" in harness.lines(record.id, "workerpool0-0")[-1]
    assert harness.lines(record.id, "workerpool0-0")[-1].endswith("/o/model/'] y")


@pytest.mark.parametrize(
    ("uri", "setup", "part"),
    [
        ("gs://b/none.tar.gz", "", "there is no such package"),
        ("gs://b/trainer-0.1.tar.gz", "raise SystemExit('broken')", "the package can't be installed"),
        ("gs://b/../../x.tar.gz", "", "there is no such package"),
    ],
)
def test_a_package_that_can_not_be_installed(harness: Any, uri: str, setup: str, part: str) -> None:
    """The job fails, and the error names the package and what was wrong."""
    package(harness.folder / "buckets" / "b", setup=setup)
    record = harness.run(python_pool(uri))

    assert record.state == "JOB_STATE_FAILED"
    assert part in record.error_message
    assert uri in record.error_message
