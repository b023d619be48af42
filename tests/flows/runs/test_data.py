"""Data sets in the train flow: the script finds them where they were, in the local run and in the job."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.errors import DataError, ProjectError
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.runtime.data_variable import path_variable

pytestmark = pytest.mark.prefect

SCRIPT = """\
import hashlib, json, os, pathlib

names = sorted(str(path) for path in pathlib.Path("data").rglob("*") if path.is_file())
digest = hashlib.sha256(b"".join(pathlib.Path(name).read_bytes() for name in names)).hexdigest()
found = {"names": names, "digest": digest, "variable": os.environ["VERTEX_TRAINING_DATA_TRAIN"]}
if place := os.environ.get("VERTEX_TRAINING_DATA_NET"):
    found["net"] = place.partition("/vertex-training-data/")[2], sorted(os.listdir(place))
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.json").write_text(json.dumps(found))
print("read", len(names), "files", flush=True)
"""


@pytest.fixture
def data_project(tmp_path: Path) -> Path:
    """A project whose data is a link to another disk, with a CSV, many small files and a link."""
    folder, data = tmp_path / "reads", tmp_path / "disk"
    (data / "images").mkdir(parents=True)
    (data / "train.csv").write_bytes(os.urandom(1_500_000))
    for number in range(40):
        (data / "images" / f"{number}.png").write_bytes(os.urandom(200))
    (data / "latest.png").symlink_to("images/0.png")
    folder.mkdir()
    (folder / "data").symlink_to(data)
    (folder / "train.py").write_text(SCRIPT)
    (folder / "requirements.txt").write_text("")
    (folder / "pyproject.toml").write_text('[tool.vertex-training.data]\ntrain = "data/"\n')
    return folder


def model(result: Any) -> dict[str, Any]:
    """What the script saved."""
    return json.loads((Path(result.model) / "model.json").read_text())


def test_a_script_finds_its_data_where_it_was(home: Any, data_project: Path) -> None:
    """The same files, in the local run and in the job; a second run sends nothing; an edit sends what changed."""
    first = train(data_project)
    receipt = json.loads(Path(first.receipt).read_text())
    saved = model(first)

    assert len(saved["names"]) == 42
    assert saved["variable"] != str(data_project / "data")
    assert [step.name for step in first.steps][:5] == ["verify", "freeze", "build", "push", "data"]
    assert receipt["data"][0]["files"] == 42
    assert len(receipt["data"][0]["id"]) == 64

    (data_project / "data" / "images" / "0.png").write_bytes(b"changed")
    second = train(data_project)
    again = json.loads(Path(second.receipt).read_text())

    assert model(second)["digest"] != saved["digest"]
    assert again["data"][0]["id"] != receipt["data"][0]["id"]
    assert second.image == first.image
    packs = list((home.vertex / "buckets" / "local" / "vertex-training-data" / "packs").iterdir())
    assert min(path.stat().st_size for path in packs) == len(b"changed")


def test_data_reach_the_bucket_of_the_place_that_takes_the_job(home: Any, data_project: Path) -> None:
    """The first region has no machines; the job of the second reads the same files from the bucket there."""
    (data_project / "pyproject.toml").write_text(
        '[tool.vertex-training]\nallowed-regions = ["us-central1", "europe-west4"]\n'
        '[[tool.vertex-training.fallback]]\nregion = "europe-west4"\nbucket = "there"\n'
        '[tool.vertex-training.data]\ntrain = { path = "data/", mode = "mount" }\n'
    )
    (home.vertex / "buckets" / "there").mkdir(parents=True)
    lifecycle.ensure_running(home, regions=("europe-west4",), faults={"stock_out@us-central1": 1})
    result = train(data_project)
    saved = model(result)

    assert "/locations/europe-west4/" in result.job
    assert len(saved["names"]) == 42
    assert "/there/" in result.model
    sent = list((home.vertex / "buckets" / "there" / "vertex-training-data" / "packs").iterdir())
    assert sum(path.stat().st_size for path in sent) >= 40 * 200


def test_data_of_a_run_alone_and_read_through_gcs(home: Any, data_project: Path) -> None:
    """`--data` names it for one run; mode mount leaves it in the bucket, with a link where the script opens it.

    What lay in a bucket already is copied to the job's disk where that is asked.
    """
    (data_project / "pyproject.toml").write_text(
        '[tool.vertex-training]\nargs = []\n[tool.vertex-training.data]\ntrain = { path = "data", mode = "mount" }\n'
        'net = { path = "gs://open/set", mode = "copy" }\n'
    )
    there = home.vertex / "buckets" / "open" / "set"
    there.mkdir(parents=True)
    (there / "a.txt").write_text("a")
    other = data_project.parent / "other"
    shutil.copytree(data_project / "data" / "images", other)
    result = train(data_project, data=[f"more={other}"])

    assert len(model(result)["names"]) == 42
    assert model(result)["net"] == ["net/set", ["a.txt"]]
    named = {each["name"]: each["uri"] for each in json.loads(Path(result.receipt).read_text())["data"]}
    assert named.keys() == {"train", "more", "net"}
    assert named["net"] == "gs://open/set"
    assert path_variable("a-b") == "VERTEX_TRAINING_DATA_A_B"


@pytest.mark.parametrize(("name", "text"), [("id_rsa", "x"), ("config.yaml", "password: 'gH7#kq92!mWz'")])
def test_a_secret_in_the_data_stops_the_run(home: Any, data_project: Path, name: str, text: str) -> None:
    """It would be sent to the bucket; nothing is."""
    (data_project / "data" / name).write_text(text)
    settings = data_project / "pyproject.toml"
    settings.write_text(f'[tool.vertex-training]\nverify = "off"\n{settings.read_text()}')

    with pytest.raises(ProjectError, match=rf"data/{name}.* looks like a secret .* would be sent to the bucket"):
        train(data_project)
    assert not (home.vertex / "buckets" / "local" / "vertex-training-data").exists()


def test_missing_data_stops_the_run_with_one_line(home: Any, data_project: Path) -> None:
    """It names the data set and the path."""
    (data_project / "data").unlink()
    (data_project / "pyproject.toml").write_text('[tool.vertex-training]\nverify = "off"\ndata = { train = "gone" }\n')

    with pytest.raises(DataError, match="the data set train can't be read: no such file or directory") as caught:
        train(data_project)
    assert str(data_project / "gone") in str(caught.value)


@pytest.mark.docker
@pytest.mark.parametrize("mode", ["copy", "mount"])
def test_a_container_has_the_data_although_it_has_not_the_folder(
    home: Any, data_project: Path, docker_base: str, mode: str
) -> None:
    """A project with its own Dockerfile: the data is not in the image, and is where the script opens it."""
    text = f'FROM {docker_base}\nWORKDIR /app\nCOPY . .\nENTRYPOINT ["python3", "train.py"]\n'
    (data_project / "Dockerfile").write_text(text)
    (data_project / "pyproject.toml").write_text(
        f'[tool.vertex-training]\nverify = "off"\ndata = {{ train = {{ path = "data", mode = "{mode}" }} }}\n'
    )
    result = train(data_project)

    assert model(result)["names"] == sorted(model(result)["names"])
    assert len(model(result)["names"]) == 42
    assert model(result)["variable"] == "/app/data"
