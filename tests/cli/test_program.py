"""The program's end: nothing that was printed or registered is lost, and the exit code is right."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys, threading, time
from types import ModuleType
from prefect_vertex_training.cli import program
fake = ModuleType("main")
def main(words):
    import logging
    atexit.register(lambda: print("atexit", flush=False))
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
    sys.stdout.write("printed ")
    {end}
fake.main = main
sys.modules["prefect_vertex_training.cli.main"] = fake
program.program()
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(None)", 0),
        ("sys.exit(2)", 2),
        ("sys.exit('why')", 1),
        ("raise ValueError('a fault')", 1),
        ("raise KeyboardInterrupt", 1),
    ],
)
def test_everything_runs_before_the_process_ends(end: str, code: int) -> None:
    """Threads are waited for, then callbacks run, then output is flushed, as Python itself does it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{end}", end)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (code, "printed thread\natexit\n")
    assert ("Traceback" in done.stderr) == end.startswith("raise")
    assert ("why" in done.stderr) == ("why" in end)
