"""The runtime as an image has it, started as a process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fixtures.suite.module_graph import ROOT
from prefect_vertex_training.runtime import outputs_variable


@pytest.fixture(autouse=True)
def hang_up_is_not_ignored() -> Iterator[None]:
    """As in a job's container, also where the tests were started by `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@dataclass
class Job:
    """A job's container, as folders.

    Attributes:
        runtime: A copy of the runtime, without the rest of this package.
        work: The working directory.
        output: The job's output folder.
        temporary: The folder for temporary files.
    """

    runtime: Path
    work: Path
    output: Path
    temporary: Path

    @property
    def model(self) -> Path:
        """The model's folder."""
        return self.output / "model"

    @property
    def partial(self) -> Path:
        """The folder for the outputs of a script that failed."""
        return self.output / "partial"

    def command(self, *words: str) -> list[str]:
        """The command line that starts a command through the runtime."""
        return [sys.executable, "-IB", str(self.runtime), "--", *words]

    def env(self, outputs: Sequence[str] = ("out",), **more: str) -> dict[str, str]:
        """The variables of the job."""
        return {
            "PATH": os.defpath,
            "TMPDIR": str(self.temporary),
            "VERTEX_TRAINING_MODEL_DIR": str(self.model),
            **outputs_variable.encode(outputs),
            **more,
        }

    def start(self, script: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        """Starts Python code as the script, with `out` as its outputs unless the variables say otherwise."""
        return subprocess.Popen(
            self.command(sys.executable, "-c", script),
            cwd=self.work,
            env=self.env() if env is None else env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, script: str, env: dict[str, str] | None = None, **options: Any) -> tuple[int, str, str]:
        """Runs Python code as the script; returns exit status, stdout and stderr."""
        with self.start(script, env, **options) as process:
            out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job with an empty working directory, whose output folder doesn't exist yet."""
    work, temporary = tmp_path / "work", tmp_path / "tmp"
    work.mkdir()
    temporary.mkdir()
    runtime = shutil.copytree(ROOT / "runtime", tmp_path / "opt/runtime", ignore=shutil.ignore_patterns("__pycache__"))
    return Job(Path(runtime), work, tmp_path / "bucket/run", temporary)


@pytest.fixture
def files() -> Callable[[Path], dict[str, str]]:
    """Reads all files in a folder, unfinished ones too: their content by path."""

    def read(folder: Path) -> dict[str, str]:
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_text() for path in found}

    return read
