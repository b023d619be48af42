"""A process sees buckets below /gcs, and nothing of this machine changes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from prefect_vertex_training.core.bucket_mount.mounted_command import can_mount, mounted_command

needs_namespaces = pytest.mark.skipif(not can_mount(), reason="this kernel allows no mount namespaces")


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that sees `buckets`, from `work`."""
    for name in ("buckets/b", "root", "work"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    command = mounted_command(words, tmp_path / "buckets", tmp_path / "root")
    return subprocess.run(command, cwd=tmp_path / "work", capture_output=True, text=True, timeout=60, check=False)


@needs_namespaces
def test_a_program_reads_and_writes_buckets_below_gcs(tmp_path: Path) -> None:
    """It stays in its folder, as the same user, and its other paths lead where they did."""
    (tmp_path / "buckets" / "b").mkdir(parents=True)
    (tmp_path / "buckets" / "b" / "in").write_text("in")
    end = run(tmp_path, "sh", "-c", f"cat /gcs/b/in; echo out > /gcs/b/out; pwd; id -u; ls {tmp_path}")

    assert end.stdout == f"in{tmp_path / 'work'}\n{os.getuid()}\nbuckets\nroot\nwork\n"
    assert (tmp_path / "buckets" / "b" / "out").read_text() == "out\n"
    assert list((tmp_path / "root").iterdir()) == []


@needs_namespaces
def test_nothing_is_made_in_the_root_of_this_machine(tmp_path: Path) -> None:
    """What a program makes there would be gone in the cloud; here it is refused."""
    before = sorted(path.name for path in Path("/").iterdir())
    end = run(tmp_path, "mkdir", "/made-by-a-test")

    assert "Read-only file system" in end.stderr
    assert sorted(path.name for path in Path("/").iterdir()) == before


@needs_namespaces
def test_the_exit_status_is_that_of_the_program(tmp_path: Path) -> None:
    """And a program that is not there is named."""
    assert run(tmp_path, "sh", "-c", "exit 7").returncode == 7
    missing = run(tmp_path, "no-such-program")
    assert (missing.returncode, missing.stderr) == (126, "no-such-program: No such file or directory\n")
