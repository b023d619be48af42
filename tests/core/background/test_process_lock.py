"""Locks that tell whether a server lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prefect_vertex_training.core.background.process_lock import holding, is_held

HOLDER = """
import sys
from pathlib import Path
from prefect_vertex_training.core.background.process_lock import holding
with holding(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_lasts_as_long_as_its_process(tmp_path: Path) -> None:
    """It is free before, and after `kill -9`; another process gives up when it has waited long enough."""
    path = tmp_path / "lock"
    assert not is_held(path)
    command = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        assert is_held(path)
        with pytest.raises(TimeoutError, match="mine"), holding(path, lambda: TimeoutError("mine")):
            pass
        holder.kill()
    assert not is_held(path)
    with holding(path, lambda: TimeoutError("free")):
        pass
