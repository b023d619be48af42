"""Runs the command line in processes that have its modules already: hundreds of runs don't import them anew."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_MODULES = [
    "prefect_vertex_training.cli.main",
    "prefect_vertex_training.cli.commands.run",
    "prefect_vertex_training.flows.train",
    "prefect_vertex_training.flows.train_job",
    "prefect_vertex_training.project.local_run.verify",
    "prefect_vertex_training.images.build",
]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_MODULES)


def run(
    words: Sequence[str], variables: Mapping[str, str], folder: Path, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Runs `vertex-training WORDS` in a process of its own, with exactly these variables.

    Args:
        words: The command's words.
        variables: Its environment.
        folder: A folder for its output.
        seconds: Time limit.

    Raises:
        subprocess.TimeoutExpired: It exceeded the time limit, and was ended with all its processes.
    """
    out, err = folder / "stdout", folder / "stderr"
    process = _CONTEXT.Process(target=_run, args=(list(words), dict(variables), out, err))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        raise subprocess.TimeoutExpired(list(words), seconds, stderr=err.read_bytes())
    said = err.read_text(errors="replace")
    return subprocess.CompletedProcess(list(words), process.exitcode, out.read_text(errors="replace"), said)


def _run(words: list[str], variables: dict[str, str], out: Path, err: Path) -> None:
    os.setsid()
    for number, file in ((1, out), (2, err)):
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["vertex-training", *words]
    from prefect_vertex_training.cli.main import main

    main()
