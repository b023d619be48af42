"""The setting `outputs` through the whole train flow: jobs as processes, and as containers of a Dockerfile's image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.images.engine import is_own, remove_tags, unused_name
from prefect_vertex_training.core.errors import BaseImageError, JobFailed
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.images.oci.layout import OciLayout

pytestmark = pytest.mark.prefect

SCRIPT = """\
import os, sys
os.makedirs("out", exist_ok=True)
open("out/last.pt", "w").write("trained")
open("out/notes.txt", "w").write("no output")
sys.exit(int("--fail" in sys.argv and "CLOUD_ML_JOB_ID" in os.environ))
"""
SETTINGS = '[tool.vertex-training]\noutputs = ["out/*.pt"]\nattempts = 1\n'


@pytest.fixture
def own_place(project: Path) -> Path:
    """A project whose script saves in its own place."""
    named = project.rename(project.parent / unused_name())
    (named / "train.py").write_text(SCRIPT)
    (named / "pyproject.toml").write_text(SETTINGS)
    (named / "out").mkdir()
    (named / "out/shipped.pt").write_text("of the project")
    return named


def test_outputs_of_a_process(home: Home, own_place: Path) -> None:
    """The job's model is what the script wrote; a script that fails leaves it in `partial`, and no model."""
    result = train(own_place)

    assert [file["path"] for file in result.files] == ["out/last.pt"]
    assert Path(result.model, "out/last.pt").read_text() == "trained"

    with pytest.raises(JobFailed):
        train(own_place, args=["--fail"])
    (partial,) = Path(result.model).parents[1].glob("*/partial")
    assert [path.relative_to(partial).as_posix() for path in partial.rglob("*.*")] == ["out/last.pt"]
    assert not (partial.parent / "model/out").exists()


@pytest.fixture
def dockerfile(own_place: Path, docker_base: str, docker_engine) -> Iterator[Path]:
    """The same project with a Dockerfile whose entry point is in shell form."""
    (own_place / "Dockerfile").write_text(
        f'FROM {docker_base}\nWORKDIR /work\nCOPY . .\nENTRYPOINT exec python3 train.py "$0" "$@"\nCMD ["--default"]\n'
    )
    yield own_place
    remove_tags(docker_engine, is_own)


@pytest.mark.docker
@pytest.mark.registry
def test_outputs_of_a_container(home: Home, dockerfile: Path) -> None:
    """The runtime is added to the image that Docker built; a second run finds the image by its fingerprint."""
    first = train(dockerfile)
    second = train(dockerfile)

    assert [file["path"] for file in first.files] == ["out/last.pt"]
    assert Path(first.model, "out/last.pt").read_text() == "trained"
    assert first.image == second.image
    assert [step.state for step in second.steps if step.name in {"build", "push"}] == ["Cached", "Cached"]
    layout = OciLayout(home.images, dockerfile.name)
    manifest = json.loads(layout.blob_path(first.image.rpartition("@")[2]).read_bytes())
    config = json.loads(layout.blob_path(manifest["config"]["digest"]).read_bytes())["config"]
    assert config["Entrypoint"][1:4] == ["-IB", "/opt/vertex-training/runtime", "--"]
    assert config["Entrypoint"][4:] == ["/bin/sh", "-c", 'exec python3 train.py "$0" "$@"']
    assert config["Cmd"] == ["--default"]


@pytest.mark.docker
@pytest.mark.registry
def test_an_image_without_python_is_refused(home: Home, dockerfile: Path, docker_base: str) -> None:
    """The message names the setting, and no job is made."""
    (dockerfile / "Dockerfile").write_text(
        f'FROM {docker_base} AS tools\nFROM scratch\nCOPY --from=tools /etc/hostname /etc/\nENTRYPOINT ["/train"]\n'
    )

    with pytest.raises(BaseImageError, match=r"outputs needs a Python in the image.*Install python3"):
        train(dockerfile)
