"""A program's processes end with it, whatever session they are in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from prefect_vertex_training.project.local_run.processes import process
from prefect_vertex_training.project.local_run.processes.peak_memory import PeakMemory
from prefect_vertex_training.project.local_run.processes.process import Ended, run

WAIT = "import time; time.sleep(300)"
DETACHED = f"subprocess.Popen([sys.executable, '-c', {WAIT!r}], start_new_session=True)"
DAEMON = f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, '-c', {WAIT!r}])
    os._exit(0)
os.wait()
"""
BY_A_SHELL = f"subprocess.run(['sh', '-c', 'setsid ' + sys.executable + ' -c \"{WAIT}\" >/dev/null 2>&1 &'])"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="without /proc only the program's process group is known")
@pytest.mark.parametrize("start", [DETACHED, DAEMON, BY_A_SHELL])
@pytest.mark.parametrize(("end", "code"), [("", 0), ("raise SystemExit(3)", 3), ("import time; time.sleep(300)", None)])
def test_processes_with_their_own_session_end(tmp_path: Path, start: str, end: str, code: int | None) -> None:
    """After success, failure and a time limit; they are found by the folder in which they run."""
    ended = _run(tmp_path, f"import os, subprocess, sys\n{start}\n{end}\n", timeout=2 if code is None else 30)

    assert ended.code == code
    assert _processes_in(tmp_path) == []


def test_another_run_s_processes_go_on(tmp_path: Path) -> None:
    """Each run ends its own processes only: two of them can run at a time."""
    inner = tmp_path / "inner"
    inner.mkdir()
    seen: list[int] = []

    def check(line: str) -> None:
        if line == "started":
            _run(inner, "pass")
            seen.extend(_processes_in(tmp_path))

    _run(tmp_path, f"import subprocess, sys\n{DETACHED}\nprint('started', flush=True)", log=check)

    assert seen
    assert _processes_in(tmp_path) == []


def test_a_long_run_is_said_once(tmp_path: Path) -> None:
    """After the reminder's seconds, by the clock that is passed, and only if the program still runs then."""
    go = tmp_path / "go"
    wait = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\ntime.sleep(0.3)"
    readings = iter([0.0, 59.9])
    said: list[str] = []

    def remind() -> None:
        said.append("it still runs")
        go.touch()

    command = [sys.executable, "-c", wait]
    ended = run(command, cwd=tmp_path, env=os.environ, timeout=900, log=print, clock=lambda: next(readings, 61.0),
                reminder=(60.0, remind))  # fmt: skip

    assert (ended.code, said) == (0, ["it still runs"])
    run(command, cwd=tmp_path, env=os.environ, timeout=900, log=print, clock=lambda: 0.0, reminder=(60.0, remind))
    assert said == ["it still runs"]


def test_what_is_written_between_the_last_look_and_the_end_is_read() -> None:
    """A program may write its error and end after the pipe was found empty, while a child process keeps the pipe."""
    reading, writing = os.pipe()
    said: list[str] = []

    class EndsWhenAsked:
        pid, stdout = os.getpid(), os.fdopen(reading, "rb")

        def poll(self) -> int:
            os.write(writing, b"the following arguments are required\n")
            return 2

    lines = process._Lines(said.append)
    program = cast("subprocess.Popen[bytes]", EndsWhenAsked())
    code = process._follow(program, lines, PeakMemory(os.getpid()), time.monotonic() + 30, time.monotonic)
    os.close(writing)
    EndsWhenAsked.stdout.close()

    assert (code, said) == (2, ["the following arguments are required"])


def _run(folder: Path, script: str, *, timeout: float = 30, log: Callable[[str], None] = print) -> Ended:
    return run([sys.executable, "-c", script], cwd=folder, env=os.environ, timeout=timeout, log=log)


def _processes_in(folder: Path) -> list[int]:
    found: list[int] = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == folder and int(link.parent.name) != os.getpid():
                found.append(int(link.parent.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found
