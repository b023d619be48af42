"""The Prefect server that stays: one for a home, closed to others, back after a kill, gone when nobody uses it.

The tests use one home in turn, because each start of the server takes seconds.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import webbrowser
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from fixtures.prefect_api.kept_server import environment
from fixtures.projects.train_flow import SCRIPT
from prefect import flow, settings
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.cli.prefect_server import command_text, keeper, lifecycle
from prefect_vertex_training.cli.prefect_server.kept_server import (
    DATABASE,
    KeptServer,
    lock_path,
    read_record,
    record_path,
    write_record,
)
from prefect_vertex_training.cli.prefect_server.migrated_tables import is_migrated
from prefect_vertex_training.cli.prefect_server.server_process import _listen
from prefect_vertex_training.cli.prefect_server.usage import counted_as_use
from prefect_vertex_training.core.background.process_lock import is_held
from prefect_vertex_training.core.errors import PrefectServerError, StorageError, TrainingError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import endpoint
from prefect_vertex_training.local_vertex.store.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(300)]

PROGRAM = Path(sys.executable).with_name("vertex-training")

STARTER = """
import sys
from pathlib import Path
from prefect_vertex_training.cli.prefect_server.lifecycle import ensure_running
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import endpoint
from prefect_vertex_training.local_vertex.store.store import Store
print(ensure_running(Home(Path(sys.argv[1])))[0].pid)
"""


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def kill(home: Home) -> None:
    """`kill -9`, and waits until its lock is free."""
    server = lifecycle.find(home)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: not is_held(lock_path(home)))


def status_of(server: KeptServer, method: str, path: str, login: str = "") -> int:
    """The HTTP status of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
    connection.request(method, path, body="{}" if method == "POST" else None, headers=headers)
    return connection.getresponse().status


def connected(server: KeptServer) -> settings.Settings:
    """A block in which Prefect's clients use the server."""
    changes = {settings.PREFECT_API_URL: server.api, settings.PREFECT_API_AUTH_STRING: server.auth_string}
    return settings.temporary_settings(changes)  # pyright: ignore[reportReturnType, reportArgumentType]


def test_many_commands_at_once_start_one_server(kept_home: Home) -> None:
    """It outlives them; its files are their owner's alone; it listens on loopback and wants its password and token."""
    starters = [
        subprocess.Popen([sys.executable, "-c", STARTER, kept_home.root], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    pids = {starter.communicate(timeout=200)[0] for starter in starters}
    server = lifecycle.find(kept_home)

    assert server is not None
    assert pids == {f"{server.pid}\n"}
    assert is_migrated(kept_home)
    assert stat.S_IMODE(record_path(kept_home).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept_home.prefect.stat().st_mode) == 0o700
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{server.pid}/net/{table}").read_text().splitlines()
        if f":{server.port:04X} " in line and " 0A " in line
    ]
    assert [address.partition(":")[0] for address in listening] == ["0100007F"]
    lifecycle.check_answer(server)
    assert status_of(server, "GET", "/api/admin/version") == 401
    assert status_of(server, "GET", "/api/admin/version", "training:wrong") == 401
    assert status_of(server, "POST", "/api/flows/filter", server.auth_string) == 403, "no cross-site token"


def test_a_server_of_an_older_prefect_is_replaced(kept_home: Home) -> None:
    """The next one has the same port, password and data; links and logins of people go on working."""
    first, _ = lifecycle.ensure_running(kept_home)
    with connected(first), get_client(sync_client=True) as client:  # pyright: ignore[reportGeneralTypeIssues]
        client.create_flow_from_name("kept")
    write_record(kept_home, replace(first, prefect="3.0.0"))

    second, started = lifecycle.ensure_running(kept_home)

    assert started
    assert second.pid != first.pid
    assert (second.port, second.auth_string) == (first.port, first.auth_string)
    with connected(second), get_client(sync_client=True) as client:  # pyright: ignore[reportGeneralTypeIssues]
        assert client.read_flow_by_name("kept")


def test_what_the_commands_say(
    kept_home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Jobs come first; the password is printed on request alone; `open` opens a run, `prefect-env` connects a shell."""
    server, _ = lifecycle.ensure_running(kept_home)
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(kept_home.root))

    def local(*words: str) -> str:
        unset = settings.temporary_settings(restore_defaults={settings.PREFECT_API_URL})  # pyright: ignore[reportArgumentType]
        with pytest.raises(SystemExit) as stop, unset:
            main(["local", *words])
        assert stop.value.code == 0
        return capsys.readouterr().out

    Store(endpoint.store_path(kept_home)).close()
    status, connect = local("status"), local("status", "--connect")
    assert status.index("jobs:") < status.index("local_vertex") < status.index(f"Prefect server runs: {server.pages}")
    assert server.auth_string not in status
    assert server.auth_string in connect
    assert server.auth_string in local("open", "4711")
    assert opened == [f"{server.pages}/runs/flow-run/4711"]
    shell = ["bash", "-c", f"{local('prefect-env')}\necho $PREFECT_API_URL $PREFECT_API_AUTH_STRING $PREFECT_UI_URL"]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [server.api, server.auth_string, server.pages]


def test_a_run_whose_server_is_killed_goes_on(kept_home: Home, tmp_path: Path) -> None:
    """The command starts it again on the same port; the run ends with a model and is complete in Prefect.

    It prints the run's page before, and the second login is refused in one line.
    """
    server, _ = lifecycle.ensure_running(kept_home)
    project = tmp_path / "tiny"
    project.mkdir()
    waiting = "import os, pathlib, time\nmark = pathlib.Path(os.environ['MARK'])\n"
    waiting += "while 'CLOUD_ML_JOB_ID' in os.environ and not mark.exists():\n    time.sleep(0.1)\n"
    (project / "train.py").write_text(waiting + SCRIPT)
    (project / "requirements.txt").write_text("")
    (project / "pyproject.toml").write_text(f'[tool.vertex-training.env]\nMARK = "{tmp_path / "mark"}"\n')
    command = [PROGRAM, "run", project, "--verify", "off"]
    running = subprocess.Popen(command, env=environment(kept_home), stderr=subprocess.PIPE, text=True)
    assert running.stderr
    lines: list[str] = []
    for line in running.stderr:
        lines.append(line)
        if "JOB_STATE_RUNNING" in line:
            break
    kill(kept_home)
    threading.Thread(target=lambda: lines.extend(running.stderr or ())).start()
    eventually(lambda: any("was started again" in line for line in lines), 150.0)
    (tmp_path / "mark").touch()

    assert running.wait(timeout=120) == 0, "".join(lines)
    assert "Traceback" not in "".join(lines)
    after = lifecycle.find(kept_home)
    assert after is not None
    assert (after.port, after.pid != server.pid) == (server.port, True)
    page = re.search(rf"http://127\.0\.0\.1:{server.port}/v2/runs/flow-run/([0-9a-f-]+)", "".join(lines))
    assert page
    with connected(after), get_client(sync_client=True) as client:  # pyright: ignore[reportGeneralTypeIssues]
        assert client.read_flow_run(UUID(page[1])).state_name == "Completed"


def test_a_wrong_password_is_one_line(kept_home: Home) -> None:
    """Where a person's own settings name the server; no other server is started."""
    server, _ = lifecycle.ensure_running(kept_home)
    env = {
        **environment(kept_home),
        "VERTEX_TRAINING_HOME": str(kept_home.root.with_name("other")),
        "PREFECT_API_URL": server.api,
        "PREFECT_API_AUTH_STRING": "training:wrong",
    }
    done = subprocess.run([PROGRAM, "orphans"], capture_output=True, text=True, env=env, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        r"error: the Prefect server refuses this login: HTTP 401 .*PREFECT_API_AUTH_STRING.*\n", done.stderr
    )
    assert not (kept_home.root.with_name("other") / "prefect" / "server.json").exists()


@flow(name="train")
def nightly() -> None:
    """Stands for the train flow in a deployment."""


def test_it_ends_when_nobody_uses_it(kept_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is at work and an active schedule keep it; `local stop` would name the schedule."""
    lifecycle.stop(kept_home)
    # Prefect's server takes seconds to import, which each of pytest's processes would pay.
    from prefect_vertex_training.cli.prefect_server.web_server import IDLE_VARIABLE

    monkeypatch.setenv(IDLE_VARIABLE, str(1 / 3600))
    with counted_as_use(kept_home):
        server, _ = lifecycle.ensure_running(kept_home)
        time.sleep(1.5)  # longer than the server stays alone
        with connected(server), get_client(sync_client=True) as client:  # pyright: ignore[reportGeneralTypeIssues]
            schedule = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 2 * * *"))
            found = client.create_flow_from_name("train")
            made = client.create_deployment(found, "nightly", schedules=[schedule], parameters={})
        lines = command_text.would_end(kept_home)
    time.sleep(1.5)
    assert "schedule that rests until the next start: train/nightly (0 2 * * *)" in lines
    assert lifecycle.find(kept_home) == server
    with connected(server), get_client(sync_client=True) as client:  # pyright: ignore[reportGeneralTypeIssues]
        client.delete_deployment(made)

    eventually(lambda: lifecycle.find(kept_home) is None)
    assert command_text.would_end(kept_home) == []


def test_a_database_of_a_newer_prefect_is_left_alone(kept_home: Home) -> None:
    """One line names both versions; nothing is started."""
    before = read_record(kept_home)
    assert before is not None
    write_record(kept_home, replace(before, prefect="99.0.0"))
    with pytest.raises(PrefectServerError, match=r"Prefect 99\.0\.0 made the kept server's database.*Upgrade"):
        lifecycle.ensure_running(kept_home)
    write_record(kept_home, before)

    assert lifecycle.find(kept_home) is None


def test_a_server_that_cannot_start(kept_home: Home) -> None:
    """Here its database is no database: one line names the log."""
    database = kept_home.prefect / DATABASE
    for path in (database.with_name(f"{DATABASE}-wal"), database.with_name(f"{DATABASE}-shm")):
        path.unlink(missing_ok=True)
    database.write_text("no database " * 1000)
    with pytest.raises(PrefectServerError, match=r"can't be started.*prefect/server\.log.*--temporary-server"):
        lifecycle.ensure_running(kept_home)

    assert lifecycle.find(kept_home) is None


def test_a_taken_port(tmp_path: Path) -> None:
    """A first start takes another one; a run whose server was on it gets one line."""
    with _listen(0, None) as other:
        port = other.getsockname()[1]
        with pytest.raises(PrefectServerError, match=f"took the port.*{port}"):
            _listen(0, port)
        with _listen(port, None) as free:
            assert free.getsockname()[1] != port


def test_a_server_that_cannot_come_back_ends_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program has its port: the command is told once that it is gone, and then why it is given up."""
    monkeypatch.setattr(keeper, "_PATIENCE", 0.1)
    told: list[str] = []
    given_up: list[TrainingError] = []
    with _listen(0, None) as other:
        lost = KeptServer(other.getsockname()[1], "training:x", "3.8.8", 4711)
        with keeper.kept_alive(Home(tmp_path / "home"), lost, told.append, given_up.append):
            eventually(lambda: given_up)

    assert told == ["the Prefect server is gone"]
    assert "took the port" in str(given_up[0])


def test_a_record_that_is_no_record(tmp_path: Path) -> None:
    """What a full disk or an earlier version left there is as good as none, and so is a process of the same id."""
    home = Home(tmp_path / "home")
    for text in ("", "[]", "{}", '{"port": 1', '{"port": 1, "auth_string": "a", "later": 1}'):
        record_path(home).write_text(text)
        assert lifecycle.find(home) is None
    write_record(home, KeptServer(1, "training:x", "3.8.8", os.getpid()))
    assert lifecycle.find(home) is None


def test_a_hung_server_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts connections and never answers."""
    monkeypatch.setattr(lifecycle, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = KeptServer(silent.getsockname()[1], "training:x", "3.8.8", 4711)
        with pytest.raises(PrefectServerError, match=r"no answer within .* process 4711.*local stop"):
            lifecycle.check_answer(hung)


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    """The line names it: a file system that is mounted read-only, and a file where the folder should be."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/prefect.*VERTEX_TRAINING_HOME"):
        lifecycle.ensure_running(Home(tmp_path / "file"))
    place = tmp_path / "read-only"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    try:
        with pytest.raises(StorageError, match="read-only"):
            lifecycle.ensure_running(Home(place / "home"))
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
