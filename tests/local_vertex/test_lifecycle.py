"""The service as a process: start, discovery, access, stop and replacement after a kill."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.errors import LocalServiceError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import command, endpoint, lifecycle
from prefect_vertex_training.local_vertex.client import open_channel, set_faults
from prefect_vertex_training.local_vertex.store.records import JobRecord, LogEntry
from prefect_vertex_training.local_vertex.store.store import Store

PACKAGE = Path(lifecycle.__file__).parent


@pytest.fixture
def home(local_home: Home) -> Iterator[Home]:
    """A home whose service is ended after the test."""
    yield local_home
    lifecycle.stop(local_home)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory with a short path, because a socket's path is limited to about 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="run-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def kill(running: endpoint.LocalService) -> None:
    """`kill -9`, and waits until the process is gone."""
    os.kill(running.pid, signal.SIGKILL)
    gone(running.pid)


def gone(pid: int) -> None:
    """Waits until a process has ended; it may still be a zombie."""
    for _ in range(12_000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            threads = list(Path(f"/proc/{pid}/task").iterdir())
        except OSError:
            return
        if state == "Z" and len(threads) <= 1:
            return
        time.sleep(0.005)
    raise AssertionError(f"process {pid} goes on")


STARTER = """
import sys
from pathlib import Path
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex.lifecycle import ensure_running
print(ensure_running(Home(Path(sys.argv[1]))).pid)
"""


def test_many_starters_get_one_service(home: Home) -> None:
    """Processes that start it at the same time get the same service, which outlives them."""
    starters = [
        subprocess.Popen([sys.executable, "-c", STARTER, str(home.root)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    pids = {starter.communicate(timeout=60)[0] for starter in starters}
    running = lifecycle.find(home)

    assert [starter.returncode for starter in starters] == [0] * 4
    assert running is not None
    assert pids == {f"{running.pid}\n"}


def test_threads_get_one_service(home: Home) -> None:
    """Threads that start it at the same time get the same service."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: lifecycle.ensure_running(home), range(4)))

    assert len(set(found)) == 1


def test_it_stops_and_is_found_no_more(home: Home) -> None:
    """A second stop does nothing; the next start is a new process on the same store."""
    first = lifecycle.ensure_running(home)
    assert lifecycle.find(home) == first
    assert lifecycle.stop(home)
    assert not lifecycle.stop(home)
    assert lifecycle.find(home) is None
    gone(first.pid)
    assert lifecycle.ensure_running(home).pid != first.pid


def test_a_killed_service_is_replaced(home: Home) -> None:
    """The socket and record that it left behind are not taken for a running service."""
    first = lifecycle.ensure_running(home)
    kill(first)
    assert lifecycle.find(home) is None
    second = lifecycle.ensure_running(home)

    assert (second.target, second.pid != first.pid) == (first.target, True)


def test_a_second_service_on_the_same_store_is_refused(home: Home) -> None:
    """Even if the first one can't be found, a second one is refused, and the first goes on."""
    running = lifecycle.ensure_running(home)
    record = endpoint.record_path(home).read_text()
    endpoint.record_path(home).unlink()
    with pytest.raises(LocalServiceError, match="another service already runs on this store"):
        lifecycle.ensure_running(home)
    endpoint.record_path(home).write_text(record)

    assert set_faults(running, {})["stock_out"] == 0


def test_an_invalid_store_is_set_aside(home: Home) -> None:
    """The service starts with an empty store; the damaged file and the folders of its jobs are kept."""
    text = "no database " * 100
    endpoint.store_path(home).write_text(text)
    (home.vertex / "runs" / "7").mkdir(parents=True)

    running = lifecycle.ensure_running(home)

    assert lifecycle.find(home) == running
    assert endpoint.store_path(home).with_name("store.db.damaged").read_text() == text
    assert (home.vertex / "runs" / "7").is_dir()


def test_only_the_owner_gets_in(home: Home) -> None:
    """The socket's folder has mode 0700, the file with the token 0600, and TCP listens on loopback only."""
    home.vertex.chmod(0o755)
    running = lifecycle.ensure_running(home, tcp=True)

    assert stat.S_IMODE(home.vertex.stat().st_mode) == 0o700
    assert stat.S_IMODE(endpoint.record_path(home).stat().st_mode) == 0o600
    tables = [Path(f"/proc/{running.pid}/net/{table}").read_text() for table in ("tcp", "tcp6")]
    for target in (running.tcp_target, running.rest_url):
        port = int(str(target).rpartition(":")[2])
        listening = re.findall(rf"\d: ([0-9A-F]+):{port:04X} 0+:0000 0A", "".join(tables))
        assert listening in (["0100007F"], ["0000000000000000FFFF00000100007F"])


def test_each_start_makes_a_new_token(home: Home) -> None:
    """A token is valid for one start only."""
    first = lifecycle.ensure_running(home, tcp=True).token
    lifecycle.stop(home)
    second = lifecycle.ensure_running(home, tcp=True).token

    assert first
    assert second
    assert first != second


def test_a_home_with_a_long_path_works(local_home: Home, tmp_path: Path, runtime: Path) -> None:
    """The socket is in the runtime directory, in a folder with mode 0700."""
    deep = Home(tmp_path / ("d" * 120))
    local_home.cache.rename(deep.cache)
    running = lifecycle.ensure_running(deep)
    folder = Path(running.target.removeprefix("unix:")).parent
    try:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.parent == runtime
        assert set_faults(running, {})
    finally:
        lifecycle.stop(deep)


@pytest.mark.parametrize("name", ["a b", "ü'\"", "a%41b", "a?b", "a#b"])
@pytest.mark.usefixtures("runtime")
def test_a_home_of_any_name_works(local_home: Home, tmp_path: Path, name: str) -> None:
    """Characters with a meaning in URIs don't break the socket's path."""
    home = Home(tmp_path / name)
    local_home.cache.rename(home.cache)
    try:
        assert set_faults(lifecycle.ensure_running(home), {})
    finally:
        lifecycle.stop(home)


def test_a_runtime_directory_with_a_long_path_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime directory is not used if its path is too long for a socket."""
    deep = tmp_path / ("r" * 120)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    folder = endpoint.socket_path(Home(tmp_path / ("d" * 120))).parent
    folder.rmdir()

    assert folder.parent == Path(tempfile.gettempdir())


def test_a_signal_ends_it_in_order(home: Home) -> None:
    """SIGTERM works like `stop`: the record is removed."""
    running = lifecycle.ensure_running(home)
    os.kill(running.pid, signal.SIGTERM)
    gone(running.pid)

    assert not endpoint.record_path(home).exists()


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path, runtime: Path) -> None:
    """A link in place of the socket's folder is refused."""
    deep = Home(tmp_path / ("d" * 120))
    wanted = endpoint.socket_path(deep).parent
    wanted.rmdir()
    (runtime / "trap").mkdir()
    wanted.symlink_to(runtime / "trap")
    with pytest.raises(LocalServiceError, match="another user"):
        endpoint.socket_path(deep)


def test_missing_options_of_the_running_service_are_reported(home: Home) -> None:
    """The running service is not restarted with other options."""
    running = lifecycle.ensure_running(home)
    with pytest.raises(LocalServiceError, match="without TCP"):
        lifecycle.ensure_running(home, tcp=True)
    with pytest.raises(LocalServiceError, match="without project mine"):
        lifecycle.ensure_running(home, project="mine")
    with pytest.raises(LocalServiceError, match="does not listen on TCP"):
        open_channel(running, tcp=True)

    assert lifecycle.find(home) == running


def test_jobs_and_lines_outlive_the_service(home: Home) -> None:
    """After `kill -9` and a new start, all stored data is there."""
    running = lifecycle.ensure_running(home)
    store = Store(endpoint.store_path(home))
    store.create(JobRecord(id="1", state="JOB_STATE_SUCCEEDED"))
    store.append_logs("1", [LogEntry(1.0, "INFO", "workerpool0-0", "a")])
    store.close()
    kill(running)
    lifecycle.ensure_running(home)

    assert [line[-18:] for line in command.logs(home)] == ["  workerpool0-0  a"]


# The commands


def test_start_says_how_to_connect(home: Home) -> None:
    """The Python code that it prints connects to the service."""
    text = command.start(home, tcp=True, faults={"list_lag_seconds": 2})
    running = lifecycle.find(home)
    assert running is not None
    assert running.token
    for part in (running.target, running.token, str(running.rest_url), "gs://local"):
        assert part in text
    program = text[text.index("import grpc") :]
    ast.parse(program)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert set_faults(running, {})["list_lag_seconds"] == 2.0
    assert command.start(home, faults={"list_lag_seconds": 0}) == text
    assert set_faults(running, {})["list_lag_seconds"] == 0.0


def test_a_bad_switch_starts_nothing(home: Home) -> None:
    """The error names the unknown setting and the existing ones."""
    with pytest.raises(LocalServiceError, match=r"there is no switch 'stockout'.*stock_out"):
        command.start(home, faults={"stockout": 1})

    assert lifecycle.find(home) is None


def test_switches_are_parsed() -> None:
    """NAME=VALUE, with the value as JSON or as plain text."""
    words = ["stock_out=2", "quotas=true", "endpoint_region=europe-west4", "pending_seconds=1.5"]
    expected = {"stock_out": 2, "quotas": True, "endpoint_region": "europe-west4", "pending_seconds": 1.5}

    assert command.parse_faults(words) == expected
    with pytest.raises(LocalServiceError, match="NAME=VALUE"):
        command.parse_faults(["stock_out"])


def test_status_and_stop_say_what_is(home: Home) -> None:
    """They say whether it runs, how many jobs are in each state, and that jobs go on."""
    assert "does not run" in command.status(home)
    assert "does not run" in command.stop(home)
    store = Store(endpoint.store_path(home))
    store.create(JobRecord(id="1", display_name="first", state="JOB_STATE_SUCCEEDED"))
    store.create(JobRecord(id="2", display_name="second", state="JOB_STATE_FAILED"))
    store.close()
    lifecycle.ensure_running(home)
    text = command.status(home)

    assert "1 failed, 1 succeeded" in text
    assert text.index("second") < text.index("first")
    assert command.stop(home) == "local_vertex stopped"


def test_logs_of_no_job_are_an_error(home: Home) -> None:
    """The error names the command that lists jobs."""
    with pytest.raises(LocalServiceError, match="no job yet"):
        list(command.logs(home))
    Store(endpoint.store_path(home)).close()
    with pytest.raises(LocalServiceError, match="no job 5"):
        list(command.logs(home, "5"))


def test_logs_follow_until_the_job_ends(home: Home) -> None:
    """Entries that are written meanwhile are shown; JSON entries by their message."""
    store = Store(endpoint.store_path(home))
    store.create(JobRecord(id="1"))
    store.append_logs("1", [LogEntry(1.0, "INFO", "workerpool0-0", "first")])

    def go_on(_: float) -> None:
        store.append_logs("1", [LogEntry(2.0, "INFO", "service", {"message": "second", "x": 1})])
        store.append_logs("1", [LogEntry(3.0, "INFO", "service", {"x": 1})])
        store.transition("1", "JOB_STATE_SUCCEEDED")

    shown = [
        line.partition("  ")[2] for line in command.logs(home, "projects/1/x/customJobs/1", follow=True, sleep=go_on)
    ]
    assert shown == ["workerpool0-0  first", "service  second", 'service  {"x": 1}']


# What the process is made of


def test_the_service_imports_none_of_googles_clients(home: Home) -> None:
    """Importing them takes seconds; only their message descriptors are used."""
    code = (
        "import json, sys; from pathlib import Path; "
        "from prefect_vertex_training.local_vertex import server, service; "
        "from prefect_vertex_training.local_vertex.api import schema; "
        "from prefect_vertex_training.local_vertex.api.rest import rest_server; "
        "from prefect_vertex_training.local_vertex.execution import executor, job; "
        "from prefect_vertex_training.local_vertex.execution.process import process_runner; "
        "from prefect_vertex_training.local_vertex.execution.container import container_runner; "
        "schema.load(Path(sys.argv[1])); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.cache)], capture_output=True, text=True, timeout=60, check=True
    )
    loaded: list[str] = json.loads(done.stdout)

    assert [
        name for name in loaded if name.startswith(("google.cloud.", "google.api_core", "proto.", "prefect."))
    ] == []


def test_the_schema_is_that_of_the_installed_packages(local: Any, job: dict[str, Any]) -> None:
    """Every message in reach has the fields of the installed packages."""
    from google.cloud.aiplatform_v1.types import CreateCustomJobRequest
    from prefect_vertex_training.local_vertex.api import schema as schemas

    ours = schemas.load(local.home.cache)
    descriptor = CreateCustomJobRequest.pb().DESCRIPTOR

    def same(theirs: Any, mine: Any, seen: set[str]) -> None:
        assert [(f.name, f.number, f.type) for f in theirs.fields] == [(f.name, f.number, f.type) for f in mine.fields]
        for field, own in zip(theirs.fields, mine.fields, strict=True):
            if field.message_type is not None and field.message_type.full_name not in seen:
                seen.add(field.message_type.full_name)
                same(field.message_type, own.message_type, seen)

    seen: set[str] = set()
    same(descriptor, ours[descriptor.full_name].DESCRIPTOR, seen)
    assert "google.cloud.aiplatform.v1.MachineSpec" in seen


def test_a_broken_schema_cache_is_made_again(local_home: Home) -> None:
    """A truncated cache file is replaced."""
    from prefect_vertex_training.local_vertex.api import schema as schemas

    (path,) = (local_home.cache / "vertex-schema").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])

    assert schemas.load(local_home.cache)["google.cloud.aiplatform.v1.CustomJob"]
    assert len(path.read_bytes()) == len(whole)
