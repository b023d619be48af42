"""A job block with a fall-back list: the next place takes its job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.images.script_image import script_image
from prefect_vertex_training.blocks.training_job import VertexTrainingJob
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.core.errors import JobFailed, ProjectError, TrainingError, VertexError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.endpoint import store_path
from prefect_vertex_training.local_vertex.store.store import Store
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.submit.submission import job_key

SCRIPT = """\
import os, pathlib, sys
if "--fail" in sys.argv:
    sys.exit(7)
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
saved = pathlib.Path(os.environ["AIP_CHECKPOINT_DIR"].replace("gs://", "/gcs/")) / "last.pt"
(folder / "m.bin").write_bytes(saved.read_bytes() if saved.exists() else b"weights")
(folder / "resumed.json").write_text(os.environ.get("VERTEX_TRAINING_RESUMED", ""))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home of its own, whose local_vertex ends with the test."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path / "home"))
    home = Home.default()
    yield home
    lifecycle.stop(home)


@pytest.fixture
def image(home: Home, tmp_path: Path) -> str:
    """An image of the script."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    return script_image(script, home.images, home.cache)


def jobs(home: Home) -> list[tuple[str, str]]:
    """Region and state of every job, oldest first."""
    store = Store(store_path(home), read_only=True)
    try:
        return [(record.region, record.state.removeprefix("JOB_STATE_")) for _, record in store.find()][::-1]
    finally:
        store.close()


def test_the_next_region_takes_the_job(home: Home, image: str) -> None:
    """A create that is refused and a wait that is over; the model is that of the third place."""
    faults = {"resource_exhausted@us-central1": 1, "pending_seconds@europe-west1": 3600.0}
    lifecycle.ensure_running(home, regions=("europe-west1", "europe-west4"), faults=faults)
    lines = ["region=europe-west1,wait=2s", '{"region": "europe-west4", "strategy": "SPOT"}']
    run = VertexTrainingJob(image=image, fallback=lines).trigger()
    assert "/locations/europe-west1/" in run.name

    run.wait_for_completion()
    model = run.fetch_result()

    assert "/locations/europe-west4/" in run.name
    assert jobs(home) == [("europe-west1", "CANCELLED"), ("europe-west4", "SUCCEEDED")]
    assert (Path(model.model) / "m.bin").read_bytes() == b"weights"


def test_checkpoints_reach_the_place_that_takes_the_job(home: Home, image: str) -> None:
    """Those that an attempt saved in the bucket of the first place; the script is told what was copied."""
    lifecycle.ensure_running(home, regions=("europe-west4",), faults={"resource_exhausted@us-central1": 1})
    block, key = VertexTrainingJob(image=image, fallback=["region=europe-west4,bucket=there"]), job_key("resumed")
    own = Connection.local(home)
    own.models.write(f"gs://{own.bucket}/training/{key}/checkpoints/last.pt", b"step 40", generation=0)
    run = block.trigger(key=key)

    run.wait_for_completion()
    model = Path(run.fetch_result().model)

    assert "/locations/europe-west4/" in run.name
    assert (model / "m.bin").read_bytes() == b"step 40"
    told = json.loads((model / "resumed.json").read_text())
    assert (told["from"], told["newest"]) == (f"gs://there/training/{key}/checkpoints", "last.pt")


def test_places_of_one_region_keep_their_own_buckets(home: Home, image: str) -> None:
    """The second place differs from the first by its strategy and its bucket."""
    lifecycle.ensure_running(home, faults={"resource_exhausted@us-central1": 1})
    run = VertexTrainingJob(image=image, fallback=["strategy=SPOT,bucket=spot-models"]).trigger()
    run.wait_for_completion()

    assert "/spot-models/" in run.fetch_result().model


def test_the_same_key_finds_the_job_in_whichever_region_it_is(home: Home, image: str) -> None:
    """As when a flow that was killed runs again; a failure of the script's own ends at once."""
    lifecycle.ensure_running(home, regions=("europe-west4",), faults={"stock_out@us-central1": 1})
    block = VertexTrainingJob(image=image, args=["--fail"], fallback=["region=europe-west4"])
    with pytest.raises(JobFailed, match="exit status 7"):
        block.trigger(key=job_key("one")).wait_for_completion()
    again = block.trigger(key=job_key("one"))

    assert again.adopted
    assert "/locations/europe-west4/" in again.name
    assert jobs(home) == [("us-central1", "FAILED"), ("europe-west4", "FAILED")]


def test_a_region_that_is_ignored_is_left_out(home: Home, image: str) -> None:
    """It is neither asked nor used, and the key stays the same."""
    lifecycle.ensure_running(home, regions=("europe-west4",))
    block = VertexTrainingJob(image=image, fallback=["region=europe-west4"])
    key = block._text_for_key()
    block.ignore_regions = ["us-central1"]
    run = block.trigger()
    run.wait_for_completion()

    assert jobs(home) == [("europe-west4", "SUCCEEDED")]
    assert block._text_for_key() == key
    block.fallback = ["region=europe-west1"]
    assert block._text_for_key() != key


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fallback": ["europe-west4"]}, r"'europe-west4' is no entry of a fall-back list \(the job block\)"),
        ({"fallback": ["region=europe-west44"]}, r"there is no region europe-west44 .* Did you mean europe-west4\?"),
        ({"fallback": ["wait=10m"]}, "entry 1 of the fall-back list is no other place"),
        ({"fallback": ["auto"]}, "needs the regions that it may choose"),
        ({"fallback": ["region=europe-west4"], "wait": -1}, "wait"),
        (
            {"fallback": ["region=europe-west4"], "fallback_bucket": "one"},
            r"fallback-bucket in \[block\] must be the name of a bucket with {region} in it",
        ),
    ],
)
def test_an_entry_that_can_not_be_is_refused(given: dict[str, list[str]], message: str) -> None:
    """Before the block is stored; one line."""
    with pytest.raises((ProjectError, ValueError), match=message):
        VertexTrainingJob(image="x", **given)  # pyright: ignore[reportArgumentType]


def test_places_in_the_cloud_are_checked_before_a_job_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a bucket there, and with an accelerator that a region doesn't have: one line names the place."""
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(tmp_path / "home"))
    vertex = VertexAI(project="my-project", region="us-central1", bucket="models", endpoint=f"unix:{tmp_path}/none")
    block = VertexTrainingJob(vertex_ai=vertex, image="x@sha256:" + "a" * 64, fallback=["region=europe-west4"])
    with pytest.raises(ProjectError, match=r"is in europe-west4, and no bucket is named there.*\(the job block\)"):
        block.trigger()
    block.fallback_bucket = "models-{region}"
    block.fallback = ["region=africa-south1,machine-type=a3-highgpu-8g"]
    with pytest.raises((VertexError, TrainingError), match="not offered in africa-south1"):
        block.trigger()
