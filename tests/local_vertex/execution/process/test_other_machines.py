"""What macOS lacks: jobs run without /proc, without `waitid` and without a subreaper."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.local_vertex.cloud import peers
from prefect_vertex_training.local_vertex.execution.process import supervisor_client
from prefect_vertex_training.local_vertex.execution.process.supervisor import process_control

# The supervisor as it would be there: started in the same way, with its modules changed before it runs.
PROGRAM = """
import importlib, os, sys
from pathlib import Path
sys.path.append({folder!r})
if hasattr(os, "waitid"):
    del os.waitid
control = importlib.import_module("supervisor.process_control")
control.PROC = Path("/no/such/folder")
control.become_subreaper = lambda: None
sys.exit(importlib.import_module("supervisor.daemon").main(Path(sys.argv[1])))
"""


def gone(pid: int) -> bool:
    """Whether a process ends within a minute; a zombie has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout
        if not state.strip() or state.startswith("Z"):
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harness: Any) -> Any:
    """An executor whose supervisor and whose connection to it work as on macOS."""
    program = tmp_path / "supervisor_of_macos.py"
    program.write_text(PROGRAM.format(folder=str(Path(supervisor_client.__file__).parent)))
    monkeypatch.setattr(supervisor_client, "_SUPERVISOR", program)
    monkeypatch.setattr(supervisor_client, "OPEN_FILES", Path("/no/such/folder"))
    return harness


def test_jobs_run_fail_and_are_cancelled(other_machine: Any, images: Any, pool: Any) -> None:
    """A job succeeds, another fails with its exit status, a third is cancelled together with its child."""
    good = other_machine.run(pool(images.image(Entrypoint=["true"])))
    bad = other_machine.run(pool(images.script("import os; os.abort()")), scheduling={"disable_retries": True})
    long = images.script(
        "import subprocess, time\nchild = subprocess.Popen(['sleep', '1000'])\n"
        "print(child.pid, flush=True)\ntime.sleep(1000)\n"
    )
    job = other_machine.submit(pool(long))
    other_machine.reached(job, lambda _: other_machine.lines(job, "workerpool0-0"))
    child = int(other_machine.lines(job, "workerpool0-0")[0])
    other_machine.cancel(job)

    assert good.state == "JOB_STATE_SUCCEEDED"
    assert "non-zero status of 134" in bad.error_message
    assert other_machine.ended(job).state == "JOB_STATE_CANCELLED"
    assert gone(child)


def test_a_long_folder_has_a_short_socket(tmp_path: Path) -> None:
    """The address of a socket in a folder with a long path leads through a private link."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = supervisor_client._short_path(folder / "s.sock")

    assert len(path) <= 100
    assert Path(path).parent.resolve() == folder.resolve()
    assert supervisor_client._short_path(Path("/tmp/s.sock")) == "/tmp/s.sock"


def test_a_process_is_known_by_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc, ps tells when a process started; one that isn't there is never taken for another."""
    monkeypatch.setattr(process_control, "PROC", Path("/no/such/folder"))
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        known = process_control.identity(process.pid)
        process_control.kill_group_of(known.replace(known.split()[2], "-"))
        process_control.kill_group_of(known.replace(known.split()[2], "Mon_Jan_1_00:00:00_2001"))
        assert process.poll() is None
        process_control.kill_group_of(known)
        assert process.wait(60) == -9


def test_a_connection_is_looked_up_by_lsof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc/net/tcp, lsof tells whose the other end of a connection is; what it doesn't list is refused."""
    listed = "p7\nu0\nf3\nn127.0.0.1:5001->127.0.0.1:6000\n"

    def run(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, listed, "")

    monkeypatch.setattr(peers, "TABLES", (Path("/no/such/file"),))
    monkeypatch.setattr(peers.subprocess, "run", run)
    monkeypatch.setattr(peers.os, "getuid", lambda: 0)

    assert peers.is_own(("127.0.0.1", 5001), ("127.0.0.1", 6000))
    assert not peers.is_own(("127.0.0.1", 5002), ("127.0.0.1", 6000))
    monkeypatch.setattr(peers.os, "getuid", lambda: 501)
    assert not peers.is_own(("127.0.0.1", 5001), ("127.0.0.1", 6000))
