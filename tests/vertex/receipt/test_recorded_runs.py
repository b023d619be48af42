"""Runs and models as jobs and receipts tell of them, and the model that a person means."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fixtures.google.scripted_vertex import EPOCH, TinyVertex
from google.cloud.aiplatform_v1 import CustomJob, JobState
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.labels import RUN_LABEL
from prefect_vertex_training.vertex.receipt.find_model import find_model
from prefect_vertex_training.vertex.receipt.recorded_runs import recorded_runs

SUCCEEDED, FAILED = JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_FAILED
Job = Callable[..., CustomJob]
Receipt = Callable[..., None]


def run_id(number: int) -> str:
    """Ids of which the first two begin alike."""
    return str(uuid.UUID(int=(number // 2 << 100) + number))


@pytest.fixture
def job(vertex: TinyVertex) -> Job:
    """Adds a job of a run, a minute newer than the one before."""

    def add(number: int, state: JobState = SUCCEEDED, project: str = "digits", place: str = "gs://bucket") -> CustomJob:
        made = vertex.add(state=state)
        made.display_name = f"{project} @ 3f2a1c0 on n1 {run_id(number)[:8]}"
        made.labels[RUN_LABEL] = run_id(number)
        made.job_spec.base_output_directory.output_uri_prefix = f"{place}/{project}/{run_id(number)}"
        created = datetime.fromtimestamp(EPOCH, tz=UTC) + timedelta(minutes=len(vertex.entries))
        made.create_time = made.start_time = created
        if state == SUCCEEDED:
            made.end_time = created + timedelta(seconds=90)
        return made

    return add


@pytest.fixture
def receipt(tmp_path: Path) -> Receipt:
    """Writes a run's receipt, and its model."""

    def write(number: int, *, project: str = "digits", bucket: str = "bucket", **fields: object) -> None:
        folder = tmp_path / "buckets" / bucket / project / run_id(number)
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "m").write_bytes(b"weights")
        document = {
            "version": 1,
            "flow_run": run_id(number),
            "output": f"gs://{bucket}/{project}/{run_id(number)}",
            "job": {"display_name": f"{project} @ x", "created": "2020-01-01T00:00:00Z"},
            "metrics": {"loss": {"last": 0.5}},
            "files": [{"path": "m", "bytes": 7, "sha256": "a" * 64}],
        }
        (folder / "receipt.json").write_text(json.dumps({**document, **fields}))

    return write


def test_jobs_and_receipts_make_the_list(
    connection: Connection, job: Job, receipt: Receipt, vertex: TinyVertex
) -> None:
    """Newest first; a run is listed once, by its newest job; other people's jobs are none of ours."""
    vertex.add(state=SUCCEEDED)
    job(1)
    receipt(1)
    job(2, FAILED)
    job(2, JobState.JOB_STATE_PENDING)
    job(3)

    found = recorded_runs(connection, limit=10)

    assert [run.run for run in found] == [run_id(3), run_id(2), run_id(1)]
    assert [run.state for run in found][:2] == ["JOB_STATE_SUCCEEDED", "JOB_STATE_PENDING"]
    assert [run.model is not None for run in found] == [False, False, True]
    assert [run.seconds for run in found] == [90.0, 0.0, 90.0]
    assert {run.project for run in found} == {"digits"}
    assert found[2].model is not None
    assert found[2].model.metrics == {"loss": {"last": 0.5}}


def test_models_of_jobs_that_are_forgotten_are_listed(connection: Connection, receipt: Receipt, tmp_path: Path) -> None:
    """A receipt in the bucket is enough; folders that are no runs, and files that are no receipts, are passed over."""
    receipt(5)
    receipt(6, project="other")
    (tmp_path / "buckets/bucket/data/images").mkdir(parents=True)
    broken = tmp_path / "buckets/bucket/digits" / run_id(7)
    broken.mkdir()
    (broken / "receipt.json").write_text("{}")

    assert {run.run for run in recorded_runs(connection, limit=10)} == {run_id(5), run_id(6)}
    (only,) = recorded_runs(connection, "other", limit=10)
    assert (only.run, only.project, only.state) == (run_id(6), "other", "JOB_STATE_SUCCEEDED")


def test_only_the_newest_runs_of_a_project(connection: Connection, job: Job, vertex: TinyVertex) -> None:
    """Pages are read until there are enough."""
    for number in range(120):
        job(number, project="digits" if number % 2 else "digits-2")
    vertex.calls.clear()

    found = recorded_runs(connection, "digits", limit=3)

    assert [run.run for run in found] == [run_id(119), run_id(117), run_id(115)]
    assert vertex.calls == ["list"]


def test_outputs_in_a_place_of_its_own(connection: Connection, job: Job, receipt: Receipt) -> None:
    """A project may have its outputs in another bucket; runs beside a listed one are found there."""
    job(1, place="gs://mine")
    receipt(1, bucket="mine")
    receipt(2, bucket="mine")

    assert {run.run for run in recorded_runs(connection, limit=10) if run.model} == {run_id(1), run_id(2)}


def test_a_damaged_receipt_does_not_hide_its_run(connection: Connection, job: Job, receipt: Receipt) -> None:
    """The list says what is wrong."""
    job(1)
    receipt(1, files=[])
    job(2)
    receipt(2, files=[{"path": "../x"}])

    newest, oldest = recorded_runs(connection, limit=10)

    assert "the receipt is damaged" in newest.problem
    assert newest.model is None
    assert oldest.model is not None


@pytest.mark.parametrize("form", ["id", "beginning", "job", "job id", "output", "model", "receipt", "folder", "slash"])
def test_a_model_is_found_by_what_people_copy(
    connection: Connection, job: Job, receipt: Receipt, form: str, tmp_path: Path
) -> None:
    """A run's id or the beginning of it, its job, or the place of its model."""
    job(1)
    made = job(4)
    receipt(4)
    output = f"gs://bucket/digits/{run_id(4)}"
    texts = {
        "id": run_id(4),
        "beginning": run_id(4)[:13],
        "job": made.name,
        "job id": made.name.rpartition("/")[2],
        "output": output,
        "model": f"{output}/model",
        "receipt": f"{output}/receipt.json",
        "folder": str(tmp_path / "buckets/bucket/digits" / run_id(4) / "model"),
        "slash": f"{output}/model/",
    }

    assert find_model(connection, texts[form], cloud=False).run == run_id(4)


def test_a_run_without_a_model_says_why(connection: Connection, job: Job, receipt: Receipt) -> None:
    """Its job failed; it goes on; it left no receipt; the receipt is damaged."""
    job(1, FAILED)
    job(2, JobState.JOB_STATE_RUNNING)
    job(3)
    job(4)
    receipt(4, version=9)
    expected = {1: "its job is failed", 2: "its job is running", 3: "has no receipt", 4: "later version"}

    for number, said in expected.items():
        with pytest.raises(VertexError, match=said):
            find_model(connection, run_id(number), cloud=False)


def test_what_is_not_there_is_one_line(connection: Connection, job: Job, receipt: Receipt, tmp_path: Path) -> None:
    """An unknown run, one that is ambiguous, a place without anything, a place without a receipt, no place."""
    job(2)
    job(3)
    receipt(3)
    (tmp_path / "buckets/bucket/plain").mkdir()
    (tmp_path / "buckets/bucket/plain/x").write_text("")
    expected = {
        run_id(9): r"no such run on this machine.*--vertex BLOCK",
        "abc": "no such run",
        "0000": "2 runs begin so",
        "gs://bucket/nothing": "nothing is there.*--vertex BLOCK",
        "gs://bucket/plain": "has no receipt",
        str(tmp_path / "buckets/bucket/plain"): "has no receipt",
        "gs://": "not a Cloud Storage location",
    }

    for text, said in expected.items():
        with pytest.raises(VertexError, match=said):
            find_model(connection, text, cloud=False)
    with pytest.raises(VertexError, match="no such run on this machine"):
        find_model(None, run_id(1), cloud=False)
    with pytest.raises(VertexError, match=r"no such run \("):
        find_model(connection, run_id(9), cloud=True)
