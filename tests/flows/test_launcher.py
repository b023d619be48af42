"""Several processes on several machines, through the whole train flow."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from fixtures.engine import remove_tags
from fixtures.launched_script import write_launched_project
from prefect_vertex_training.core.errors import JobFailed, ProjectError, VerifyError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.watch.log_reader import LogReader

pytestmark = pytest.mark.prefect

TF_SCRIPT = """\
import json, os, pathlib
config = json.loads(os.environ["TF_CONFIG"])
print(sorted(config["cluster"].items()), config["task"]["type"], config["task"]["index"], os.environ["RANK"], flush=True)
if config["task"]["type"] == "chief":
    folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.txt").write_text(",".join(sorted(config["cluster"])))
"""


@pytest.fixture
def launched(tmp_path: Path) -> Path:
    """A project for two machines of two processes, by default with torchrun."""
    folder = tmp_path / f"tiny-{uuid4().hex[:8]}"
    write_launched_project(folder, 'replicas = 2\nlauncher = "torchrun"\nprocesses = "gpu"')
    return folder


def test_two_machines_of_two_processes(home: Home, launched: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The local run and the job start four ranks that meet, and the sum over them is right."""
    result = train(launched)

    assert Path(result.model, "model.txt").read_text() == "4 processes"
    said = [record.getMessage() for record in caplog.records]
    for rank in range(4):
        assert sum(f"rank {rank} of 4 sum 6" in line for line in said) == 2
    assert sum("torchrun: node 1 of 2, with 2 processes each" in line for line in said) == 2
