"""Several processes on several machines, through the whole train flow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.images.engine import is_own, remove_tags, unused_name
from fixtures.projects.launched_script import write_launched_project
from prefect_vertex_training.core.errors import ProjectError, VerifyError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train

pytestmark = pytest.mark.prefect

TF_SCRIPT = """\
import json, os, pathlib, time
config = json.loads(os.environ["TF_CONFIG"])
task = config["task"]
print(sorted(config["cluster"]), task["type"], task["index"], "RANK", os.environ["RANK"], flush=True)
mark = pathlib.Path(os.environ["VERTEX_TRAINING_CHECKPOINT_DIR"], "worker")
if task["type"] == "worker":
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
else:
    while not mark.exists():  # a job ends with its primary
        time.sleep(0.02)
    folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.txt").write_text(",".join(sorted(config["cluster"])))
"""


@pytest.fixture
def launched(tmp_path: Path) -> Path:
    """A project for two machines of two processes, by default with torchrun."""
    folder = tmp_path / unused_name()
    write_launched_project(folder, 'replicas = 2\nlauncher = "torchrun"\nprocesses = "gpu"')
    return folder


def said(caplog: pytest.LogCaptureFixture) -> str:
    """The log; one record may hold several lines of a job."""
    return "\n".join(record.getMessage() for record in caplog.records)


def test_two_machines_of_two_processes(home: Home, launched: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The local run and the job start four ranks that meet, and the sum over them is right."""
    result = train(launched)

    assert Path(result.model, "model.txt").read_text() == "4 processes"
    for rank in range(4):
        assert said(caplog).count(f"rank {rank} of 4 sum 6") == 2
    assert said(caplog).count("torchrun: node 1 of 2, with 2 processes each") == 2


def test_frameworks_with_a_way_of_their_own(home: Home, project: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a launcher each machine starts the script once, with TF_CONFIG and RANK as the platform sets them."""
    (project / "train.py").write_text(TF_SCRIPT)
    (project / "pyproject.toml").write_text('[tool.vertex-training]\nreplicas = 2\nverify = "off"\n')
    result = train(project)

    assert Path(result.model, "model.txt").read_text() == "chief,worker"
    for role, rank in (("chief", 0), ("worker", 1)):
        assert said(caplog).count(f"['chief', 'worker'] {role} 0 RANK {rank}") == 1


@pytest.fixture
def dockerfile(launched: Path, docker_base: str, docker_engine) -> Iterator[Path]:
    """The launched project with a Dockerfile of its own."""
    text = f'FROM {docker_base}\nWORKDIR /work\nCOPY . .\nENTRYPOINT ["python3", "train.py"]\n'
    (launched / "Dockerfile").write_text(text)
    yield launched
    remove_tags(docker_engine, is_own)


@pytest.mark.docker
@pytest.mark.registry
def test_in_containers(home: Home, dockerfile: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same in containers, which find each other by their names in the job's network."""
    result = train(dockerfile, verify="off")

    assert Path(result.model, "model.txt").read_text() == "4 processes"
    assert said(caplog).count("sum 6") == 4


def test_what_does_not_go_together(home: Home, launched: Path) -> None:
    """A machine that is started again alone, and a launcher that isn't installed, are one line each."""
    settings = (launched / "pyproject.toml").read_text()
    (launched / "pyproject.toml").write_text(f'{settings}restarts = "replica"\nstrategy = "SPOT"\nattempts = 15\n')
    with pytest.raises(ProjectError, match="the others of torchrun don't wait for it"):
        train(launched)

    (launched / "pyproject.toml").write_text(settings)
    (launched / "torch" / "distributed" / "run.py").unlink()
    (launched / "torch").rename(launched / "elsewhere")
    with pytest.raises(VerifyError, match='launcher = "torchrun" needs the package torch'):
        train(launched)
