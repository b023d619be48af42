"""`verify = "image"`: the local run in the image of the project's own Dockerfile, before the job."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fixtures.images.engine import remove_tags
from fixtures.images.registry_server import RegistryServer
from prefect_vertex_training.blocks.registry import ContainerRegistry
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.registry]

SCRIPT = """\
import os, sys
import only_in_the_image
os.makedirs("out", exist_ok=True)
open("out/last.pt", "w").write(" ".join(sys.argv[1:]) + open("data/rows.csv").read())
"""
SETTINGS = (
    '[tool.vertex-training]\nverify = "image"\noutputs = ["out/*.pt"]\nattempts = 1\ndata = { train = "data/" }\n'
)


@pytest.fixture
def own(project: Path, docker_base: str, docker_engine) -> Iterator[Path]:
    """A project that needs what its Dockerfile makes and a data set, which is not in the image; arguments are CMD."""
    named = project.rename(project.parent / f"tiny-{uuid4().hex[:8]}")
    (named / "train.py").write_text(SCRIPT)
    (named / "pyproject.toml").write_text(SETTINGS)
    (named / "data").mkdir()
    (named / "data" / "rows.csv").write_text(" 1,2")
    (named / "Dockerfile").write_text(
        f'FROM {docker_base}\nWORKDIR /work\nCOPY . .\nRUN echo "x = 1" > only_in_the_image.py\n'
        'CMD ["python3", "train.py"]\n'
    )
    yield named
    remove_tags(docker_engine, lambda tag: named.name in tag)


def test_it_runs_in_the_image_and_then_in_the_job(
    home: Home, own: Path, docker_registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is freeze, build, verify, push; the runtime on top of the image in a registry brings the model."""
    auth = b64encode(f"{docker_registry.username}:{docker_registry.password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {docker_registry.host: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    registry = ContainerRegistry(host=docker_registry.host, project="team")

    first = train(own, args=["--epochs", "2"], registry=registry)
    second = train(own, args=["--epochs", "2"], registry=registry)

    assert [step.name for step in first.steps][:4] == ["freeze", "build", "verify", "push"]
    assert Path(first.model, "out/last.pt").read_text() == "--epochs 2 1,2"
    assert first.image.startswith(f"{docker_registry.host}/team/{own.name}@sha256:")
    assert {step.name: step.state for step in second.steps}["verify"] == "Cached"
