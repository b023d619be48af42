"""Whether this machine can show buckets below /gcs to a process, and the command line that does so."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PROGRAM = Path(__file__).with_name("gcs_namespace.py")
_PROBE_SECONDS = 20.0


def mounted_command(command: Sequence[str], buckets: Path, root: Path) -> list[str]:
    """The command line of a program that sees `buckets` as /gcs.

    Args:
        command: The program and its arguments.
        buckets: The folder with one folder for each bucket.
        root: An empty folder, which the program's new root is mounted on.
    """
    return [sys.executable, "-I", "-S", str(_PROGRAM), str(buckets), str(root), *command]


@functools.cache
def can_mount() -> bool:
    """Whether that works here. All steps are tried: some systems allow the first ones and refuse a later one.

    Docker's default profile refuses it, and so do kernels that don't let users make namespaces.
    """
    if sys.platform != "linux":
        return False
    with tempfile.TemporaryDirectory() as folder:
        buckets, root = Path(folder, "buckets"), Path(folder, "root")
        (buckets / "probe").mkdir(parents=True)
        root.mkdir()
        try:
            result = subprocess.run(
                mounted_command(["test", "-d", "/gcs/probe"], buckets, root),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PROBE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return result.returncode == 0
