"""A home of its own for each test, and a project that trains in a blink."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import service

SCRIPT = """\
import argparse, json, os, pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--model-dir", default=os.environ.get("AIP_MODEL_DIR"))
parser.add_argument("--epochs", type=int, default=1)
options = parser.parse_args()
folder = pathlib.Path(options.model_dir)
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.json").write_text(json.dumps({"epochs": options.epochs}))
print("trained", options.epochs, flush=True)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: object) -> Iterator[Home]:
    """A fresh `VERTEX_TRAINING_HOME`, with its local service stopped afterwards."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path / "home"))
    home = Home.default()
    yield home
    service.stop(home)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with only train.py and requirements.txt."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "requirements.txt").write_text("")
    return folder
