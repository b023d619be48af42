"""A service that other people's clients take for Google's cloud, in the environment of `local exec`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect_vertex_training.core.home import Home

IMAGES = Path(__file__).resolve().parents[3] / "benchmarks" / "local_vertex" / "images.py"
PROGRAMS = Path(__file__).with_name("programs")
PROJECT = "my-project"


@dataclass
class Cloud:
    """A running service.

    Attributes:
        home: Its home folder.
        image: An image that prints "trained".
        scratch: A folder for what clients write.
    """

    home: Path
    image: str
    scratch: Path

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """Starts a command in the environment of `local exec`."""
        words = [sys.executable, "-m", "prefect_vertex_training", "local", "exec", "--", *command]
        # What a user may have set must not matter: real credentials, another proxy's exemptions.
        variables = {"GOOGLE_APPLICATION_CREDENTIALS": "/no/such/file", "no_proxy": "*", **variables}
        return subprocess.Popen(
            words,
            env={**os.environ, "VERTEX_TRAINING_HOME": str(self.home), "IMAGE": self.image, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.scratch,
        )

    def run(self, *command: str, **variables: str) -> str:
        """What a command prints in that environment; it must succeed."""
        return finished(self.start(*command, **variables))


def finished(process: subprocess.Popen[str]) -> str:
    """What a started command printed; it must have succeeded."""
    output, errors = process.communicate(timeout=150)
    assert process.returncode == 0, f"{output}\n{errors}"[-4000:]
    return output + errors


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A service of its own, started with `local start --as-cloud`, and stopped at the end."""
    spec = importlib.util.spec_from_file_location("images", IMAGES)
    assert spec is not None
    assert spec.loader is not None
    images = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(images)
    scratch = tmp_path_factory.mktemp("clients")
    home = Home(scratch / "home")
    made = Cloud(home.root, images.tiny_image(home, scratch / "project"), scratch)

    def local(*words: str) -> None:
        command = [sys.executable, "-m", "prefect_vertex_training", "local", *words]
        environment = {**os.environ, "VERTEX_TRAINING_HOME": str(home.root)}
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60)

    local("start", "--as-cloud", "--project", PROJECT)
    yield made
    local("stop")
