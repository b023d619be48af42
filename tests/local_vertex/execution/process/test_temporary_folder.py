"""A replica's temporary folder, in which programs make sockets."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from prefect_vertex_training.local_vertex.execution.process.temporary_folder import forget_temporary, make_temporary

HAND_OVER = """
import multiprocessing.reduction, multiprocessing.resource_sharer, os
from multiprocessing.connection import Connection
sharer = multiprocessing.resource_sharer.DupFd(os.open(os.devnull, os.O_RDONLY))
print(sharer.detach())
"""
"""What PyTorch's DataLoader does to hand a tensor from a worker to the script."""


def test_processes_can_hand_over_files(tmp_path: Path) -> None:
    """Also where the folder's own path is longer than that of a socket may be."""
    folder = tmp_path / ("long-" * 25) / "tmp"
    temporary = make_temporary(folder)
    env = {"TMPDIR": str(temporary)}

    command = [sys.executable, "-c", HAND_OVER]
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert temporary.resolve() == folder
    forget_temporary(folder)
    assert folder.is_dir()
    assert not temporary.is_symlink()


def test_a_short_path_is_used_as_it_is() -> None:
    """No link is made for it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        assert make_temporary(Path(short, "tmp")) == Path(short, "tmp")


def test_somebody_else_s_link_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could lead into another user's folder; a socket there fails, as before."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / ("long-" * 25) / "tmp"
    link = make_temporary(folder)
    link.unlink()
    link.symlink_to(tmp_path)

    assert make_temporary(folder) == folder
    forget_temporary(folder)
    assert link.is_symlink()
    with socket.socket(socket.AF_UNIX) as unix, pytest.raises(OSError, match="path too long"):
        unix.bind(str(folder / "pymp-01234567/listener-01234567"))
