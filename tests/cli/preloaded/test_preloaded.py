"""The preloaded process: a command that is handed over to it can't be told from one that imports for itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures.prefect_api.kept_server import environment, prepare
from prefect_vertex_training.cli.prefect_server import lifecycle
from prefect_vertex_training.cli.preloaded import handover, preload_facts, preload_lifecycle, preload_process
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle as local_vertex

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="the preloaded process needs Linux"),
]

PROGRAM = Path(sys.executable).with_name("vertex-training")

HANDED = """\
import sys
from prefect_vertex_training.cli.preloaded.handover import hand_over
print(hand_over(sys.argv[1:]))
"""
GIVEN_UP = """\
import os, sys
from prefect_vertex_training.cli.preloaded import handover
from prefect_vertex_training.cli.preloaded.preload_facts import fingerprint
from prefect_vertex_training.core.home import Home
with handover.connect(handover.socket_folder(Home.default())) as connection:
    command = {"fingerprint": fingerprint(), "words": ["run", sys.argv[1]], "environ": dict(os.environ), "umask": 0o22}
    handover.send(connection, command, (0, 1, 2, os.open(".", os.O_RDONLY)))
    assert handover.receive(connection)["process"]
print("begun")
"""
NEXT = """\
from prefect_vertex_training.cli.preloaded.preload_lifecycle import preload_for_next
preload_for_next(["run"])
"""
SLEEPER = """\
import os, sys, time
print("variable", len(os.environ["OWN"]), flush=True)
time.sleep(600)
"""


def eventually(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Waits until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def handed(words: list[str], variables: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A process that hands a command over, and prints its exit code, or None where it was not taken."""
    return subprocess.run(
        [sys.executable, "-c", HANDED, *words], env=variables, cwd=folder, capture_output=True, text=True, check=True
    )


def has_ended(process: int) -> bool:
    """Whether a process has ended; it stays a zombie where nobody collects orphans, as in some containers."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def children(process: int) -> list[int]:
    """The processes that a process has started or forked, and that live."""
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The home of the commands; its servers end after the tests."""
    # A long path: a socket's own address would not hold it.
    found = Home(tmp_path_factory.mktemp("h" * 60) / ("home-" * 12))
    prepare(found)
    yield found
    preload_lifecycle.stop(found)
    lifecycle.stop(found)
    local_vertex.stop(found)


@pytest.fixture(scope="module")
def variables(home: Home) -> dict[str, str]:
    """The environment of the commands."""
    return {**environment(home), handover.SWITCH: ""}


@pytest.fixture(scope="module")
def preloaded(home: Home, variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> int:
    """The preloaded process of the home, left there by a command."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "train.py").write_text("raise SystemExit(3)\n")  # the run ends soon
    ended = subprocess.run([PROGRAM, "run", folder], env=variables, cwd=folder, capture_output=True, check=False)
    assert ended.returncode == 2, ended.stderr.decode()
    eventually(lambda: preload_lifecycle.find(home))
    return preload_lifecycle.find(home)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose script goes on until it is ended."""
    folder = tmp_path / "sleeper"
    folder.mkdir()
    (folder / "train.py").write_text(SLEEPER)
    (folder / "pyproject.toml").write_text('[tool.vertex-training]\nsecret-env = { OWN = "env:OWN" }\n')
    return folder


def started(project: Path, variables: dict[str, str]) -> tuple[subprocess.Popen[str], Path]:
    """A command that runs the project, once its script runs, and what it has printed."""
    output = project.parent / "output"
    with output.open("w") as file:
        command = subprocess.Popen(
            [PROGRAM, "run", project.name], env=variables, cwd=project.parent, stdout=file, stderr=file, text=True
        )
    eventually(lambda: "variable" in output.read_text() or command.poll() is not None)
    assert command.poll() is None, output.read_text()
    return command, output


def test_signals_reach_the_run_and_its_end_is_the_commands(
    preloaded: int, variables: dict[str, str], project: Path
) -> None:
    """Ctrl-C ends a run that was handed over, with code 130; its variables and its folder are the command's."""
    command, output = started(project, {**variables, "OWN": "o" * 37})
    (run,) = children(preloaded)
    assert children(command.pid) == []

    command.send_signal(signal.SIGINT)

    assert command.wait(60) == 130
    assert "variable 37" in output.read_text()
    assert output.read_text().endswith("interrupted\n")
    eventually(lambda: has_ended(run))


def test_a_killed_command_ends_its_run(home: Home, preloaded: int, variables: dict[str, str], project: Path) -> None:
    """`kill -9` of the command leaves no run behind, as where it runs itself; the next command is served."""
    command, _ = started(project, {**variables, "OWN": "own"})
    (run,) = children(preloaded)

    command.kill()
    command.wait()

    eventually(lambda: has_ended(run))
    assert preload_lifecycle.find(home) == preloaded


def test_a_run_that_is_killed_ends_its_command_alike(preloaded: int, variables: dict[str, str], project: Path) -> None:
    """The shell sees the signal that ended the run."""
    command, _ = started(project, {**variables, "OWN": "own"})
    (run,) = children(preloaded)

    os.kill(run, signal.SIGKILL)

    assert command.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("changed", "file"),
    [({"PREFECT_LOGGING_LEVEL": "DEBUG"}, ""), ({"PYTHONOPTIMIZE": "1"}, ""), ({}, "prefect.toml"), ({}, ".env")],
)
def test_other_settings_are_never_handed_over(
    preloaded: int, variables: dict[str, str], tmp_path: Path, changed: dict[str, str], file: str
) -> None:
    """What an import would have read differently makes a command import for itself."""
    if file:
        (tmp_path / file).touch()

    done = handed(["run"], {**variables, **changed}, tmp_path)

    assert done.stdout == "None\n"
    assert children(preloaded) == []


def test_exit_codes_and_errors_are_the_commands(preloaded: int, variables: dict[str, str], tmp_path: Path) -> None:
    """An error that the user can fix is one line and code 2, by the preloaded process too."""
    done = handed(["run", "nowhere"], variables, tmp_path)

    assert done.stdout == "2\n"
    assert "nowhere" in done.stderr
    assert done.stderr.count("error:") == 1


def test_a_command_that_has_given_up_is_not_begun(preloaded: int, variables: dict[str, str], project: Path) -> None:
    """Who waited too long for the preloaded process runs by itself: the forked process must not run as well."""
    done = subprocess.run(
        [sys.executable, "-c", GIVEN_UP, project], env=variables, cwd=project.parent, capture_output=True, check=True
    )

    eventually(lambda: not children(preloaded))
    assert (done.stdout, done.stderr) == (b"begun\n", b"")


def test_its_own_environment_has_no_secret(preloaded: int, variables: dict[str, str]) -> None:
    """Variables that no import reads are not in the process that stays."""
    own = dict(each.partition("=")[::2] for each in Path(f"/proc/{preloaded}/environ").read_text().split("\0") if each)

    assert own == preload_facts.variables(variables)
    assert not preload_facts.variables({"WANDB_API_KEY": "x", "AWS_SECRET_ACCESS_KEY": "x", "PASSWORD": "x"})


READ = """
import os, sys, json
read = set()
class Recorded(type(os.environ)):
    def __getitem__(self, name):
        read.add(name)
        return super().__getitem__(name)
    def get(self, name, default=None):
        read.add(name)
        return super().get(name, default)
    def __contains__(self, name):
        read.add(name)
        return super().__contains__(name)
    def __iter__(self):
        return iter(())
os.environ.__class__ = Recorded
from prefect_vertex_training.cli.preloaded.preload_process import preload
preload()
import threading
print(json.dumps([sorted(read), threading.active_count()]))
"""


def test_every_variable_that_an_import_reads_is_compared() -> None:
    """None that decides what is imported is missing; those of the terminal are read again by what prints."""
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=True)
    read, threads = json.loads(done.stdout)

    others = [name for name in read if not preload_facts.variables({name: "x"})]

    assert set(others) <= {"COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
    assert threads == 1  # a second one would be missing in forked processes


def test_a_newer_one_takes_its_place(home: Home, preloaded: int, variables: dict[str, str]) -> None:
    """After a change there are two processes for a moment; the older one takes no further command, and ends."""
    log = home.preloaded / "log"
    before = log.stat().st_mtime_ns

    subprocess.run([sys.executable, "-c", NEXT], env=variables, check=True)
    assert log.stat().st_mtime_ns == before  # the one that is there serves the next command too

    subprocess.run([sys.executable, "-c", NEXT], env={**variables, "XDG_CONFIG_HOME": "/other"}, check=True)

    eventually(lambda: preload_lifecycle.find(home) not in {0, preloaded})
    eventually(lambda: has_ended(preloaded))


def test_a_signal_is_not_lost_while_nobody_answers(tmp_path: Path) -> None:
    """Ctrl-C ends a command that waits for a preloaded process which has stopped answering."""
    home = Home(tmp_path / "home")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"/proc/self/fd/{os.open(home.preloaded, os.O_PATH)}/socket")
        silent.listen(1)
        silent.settimeout(60)
        command = subprocess.Popen(
            [sys.executable, "-c", HANDED, "run", "nowhere"],
            env={**environment(home), handover.SWITCH: ""},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        connection, _ = silent.accept()
        assert connection.recv(1)
        command.send_signal(signal.SIGINT)
        output, _ = command.communicate(timeout=60)
        connection.close()

    assert (command.returncode, output) == (-signal.SIGINT, b"")


def test_it_runs_few_commands_at_once(tmp_path: Path) -> None:
    """More of them would begin in the same moment, and wait for the locks of Prefect's database."""
    process = preload_process.Preloaded(tmp_path, "same")
    command = {"fingerprint": "same"}
    taken = []
    for number in range(6):
        taken.append(process._takes(command, [0, 1, 2, 3]))
        process._children[number] = socket.socket()

    for connection in process._children.values():
        connection.close()
    assert taken == [True] * 4 + [False] * 2
    assert not process._takes({"fingerprint": "other"}, [0, 1, 2, 3])
