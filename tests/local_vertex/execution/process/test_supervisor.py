"""The supervisor: it survives its clients, and starts isolated from everything but the standard library."""

from __future__ import annotations

import json
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.bucket_mount.mounted_command import can_mount, mounted_command
from prefect_vertex_training.local_vertex.execution.process import supervisor_client
from prefect_vertex_training.local_vertex.execution.process.supervisor.connections import Connections
from prefect_vertex_training.local_vertex.execution.process.supervisor.protocol import SOCKET

PACKAGE = Path(supervisor_client.__file__).with_name("supervisor")


def test_a_client_that_dies_with_unsent_events_is_closed_once(tmp_path: Path) -> None:
    """Writing and reading both find that the client is gone; the second one changes nothing."""
    with (
        selectors.DefaultSelector() as selector,
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as service,
    ):
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        connections = Connections(listener, selector)
        service.connect(str(tmp_path / "s"))
        for key, mask in selector.select(5):
            list(connections.handle(key, mask))
        (key,) = (key for key in selector.get_map().values() if key.fileobj is not listener)
        while connections.unsent_bytes < 1 << 20:
            connections.broadcast({"event": "x" * 100_000})
        service.close()
        list(connections.handle(key, selectors.EVENT_READ | selectors.EVENT_WRITE))
        list(connections.handle(key, selectors.EVENT_READ | selectors.EVENT_WRITE))

        assert len(connections) == 0


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    """A connection to a supervisor that was started by its path in isolated mode."""
    command = [sys.executable, "-I", "-S", str(PACKAGE / "__main__.py"), str(tmp_path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd="/", timeout=60, check=True)
    assert done.stdout == b"ready\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(tmp_path / SOCKET))
        yield connection


def events(connection: socket.socket, **request: Any) -> Iterator[dict[str, Any]]:
    """Sends a request and yields the supervisor's events."""
    connection.sendall(json.dumps(request).encode() + b"\n")
    with connection.makefile() as lines:
        for line in lines:
            yield json.loads(line)


def test_it_runs_isolated_and_reports_exits(supervisor: socket.socket, tmp_path: Path) -> None:
    """The exit status is recorded in the run's folder, and a second request for the run starts nothing."""
    run = tmp_path / "1" / "1-workerpool0-0.0"
    run.mkdir(parents=True)
    request = {"op": "start", "run": "1/1-workerpool0-0.0", "argv": ["sh", "-c", "echo x; exit 7"], "cwd": "/"}
    request["env"] = {"PATH": "/usr/bin:/bin"}
    stream = events(supervisor, **request)

    assert next(stream)["event"] == "started"
    assert (end := next(stream))["code"] == 7
    assert json.loads((run / "exit").read_text()) == end
    assert next(events(supervisor, **request)) == end
    assert (run / "stdout").read_text() == "x\n"


def test_a_killed_process_is_reported_with_its_signal(supervisor: socket.socket, tmp_path: Path) -> None:
    """128 + 15; fails if `subprocess` ever waits for the process itself."""
    (tmp_path / "1" / "r").mkdir(parents=True)
    stream = events(supervisor, op="start", run="1/r", argv=["/bin/sleep", "1000"], env={}, cwd="/")

    assert next(stream)["event"] == "started"
    end = next(event for event in events(supervisor, op="stop", run="1/r", grace=30.0))
    assert (end["code"], end["reason"]) == (128 + signal.SIGTERM, "Error")


@pytest.mark.skipif(not can_mount(), reason="this kernel allows no mount namespaces")
def test_a_program_sees_buckets_without_a_python_before_it(supervisor: socket.socket, tmp_path: Path) -> None:
    """The command line's Python needn't even exist; what can't be mounted or started is said, and kept from others."""
    for name in ("buckets/b", "root", "1/r", "1/no-buckets", "1/no-program"):
        (tmp_path / name).mkdir(parents=True)

    def end_of(run: str, buckets: str, *program: str) -> dict[str, Any]:
        _, *rest = mounted_command(program, tmp_path / buckets, tmp_path / "root")
        request = {"run": run, "argv": ["/no/python", *rest], "env": {"PATH": "/usr/bin:/bin"}, "cwd": str(tmp_path)}
        return next(event for event in events(supervisor, op="start", **request) if event["event"] == "exited")

    script = "pwd; echo out > /gcs/b/out; mkdir /made-by-a-test"
    assert end_of("1/r", "buckets", "sh", "-c", script)["code"] == 1
    assert (tmp_path / "buckets/b/out").read_text() == "out\n"
    assert (tmp_path / "1/r/stdout").read_text() == f"{tmp_path}\n"
    assert "Read-only file system" in (tmp_path / "1/r/stderr").read_text()
    assert end_of("1/no-buckets", "gone", "sh", "-c", "true")["code"] == 126
    assert (tmp_path / "1/no-buckets/stderr").read_text() == "sh: No such file or directory\n"
    missing = end_of("1/no-program", "buckets", "no-such-program")
    assert (missing["reason"], "no-such-program" in missing["message"]) == ("StartError", True)
    assert not Path("/made-by-a-test").exists()
    assert not Path("/gcs").exists() or not Path("/gcs/b/out").exists()


def test_it_imports_only_the_standard_library() -> None:
    """Isolated mode finds nothing else, and the service depends on the start being fast."""
    code = (
        "import sys; sys.path.append(sys.argv[1]); import supervisor.daemon; "
        "print([n for n in sys.modules if n.partition('.')[0] not in sys.stdlib_module_names | {'supervisor'}])"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(PACKAGE.parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "['__main__']" or done.stdout.strip() == "[]"
