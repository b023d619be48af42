"""The model that a job saved: every file with its checksum, from a folder or from a real object store."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fixtures.google.object_store import object_store  # noqa: F401 - a fixture
from fixtures.google.scripted_vertex import TinyVertex
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.aiplatform_v1 import JobState
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import ModelMissing, VertexError
from prefect_vertex_training.core.output_folders import literal_outputs
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.client.storage import CloudStore, FolderStore, ModelStore, split_uri
from prefect_vertex_training.vertex.job_types import JobRequest, Origin
from prefect_vertex_training.vertex.receipt.model_files import LISTINGS, list_model
from prefect_vertex_training.vertex.receipt.receipt_document import record_model
from prefect_vertex_training.vertex.submit.submission import submit

OUTPUT = "gs://bucket/run 1/ä"
FILES = {"model.joblib": b"weights" * 300_000, "metrics.json": b"{}", "deep/er/vocab.txt": b"", "ü/x": b"1"}
Save = Callable[[str, bytes], None]


@pytest.fixture
def in_folder(connection: Connection) -> Save:
    """Saves into the folder that plays the bucket."""
    root = connection.endpoint.buckets  # pyright: ignore[reportAttributeAccessIssue]

    def save(path: str, data: bytes) -> None:
        target = root / "bucket" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    return save


@pytest.fixture
def cloud(
    connection: Connection,
    object_store: str,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> storage.Bucket:
    """An empty bucket in the object store, from which the connection reads models."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", object_store)
    client = storage.Client(project="p", credentials=AnonymousCredentials())
    bucket = client.create_bucket(f"b{hashlib.md5(str(tmp_path).encode()).hexdigest()[:20]}")
    connection._cached["models"] = CloudStore("p", AnonymousCredentials(), connection.context)
    return bucket


def test_every_file_is_listed_with_its_checksum(connection: Connection, in_folder: Save) -> None:
    """Sorted by path, with sizes, from the local folder; the folder is what a person opens."""
    for path, data in FILES.items():
        in_folder(f"run 1/ä/model/{path}", data)
    in_folder("run 1/ä/logs/events", b"no model")

    found = list_model(connection, OUTPUT)

    assert {path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()} == {
        file.path: file.sha256 for file in found.files
    }
    assert sorted(FILES) == [file.path for file in found.files]
    assert FILES["ü/x"] == (Path(found.model) / "ü/x").read_bytes()
    assert sum(map(len, FILES.values())) == found.size


def test_the_same_from_an_object_store(connection: Connection, cloud: storage.Bucket) -> None:
    """The same files give the same receipt from a bucket; folder markers don't count; the place is a gs:// URI."""
    for path, data in FILES.items():
        cloud.blob(f"run 1/ä/model/{path}").upload_from_string(data)
    cloud.blob("run 1/ä/model/empty/").upload_from_string(b"")
    cloud.blob("run 1/ä/model2/other").upload_from_string(b"x")

    found = list_model(connection, f"gs://{cloud.name}/run 1/ä/")

    assert [(p, len(FILES[p]), hashlib.sha256(FILES[p]).hexdigest()) for p in sorted(FILES)] == [
        (file.path, file.size, file.sha256) for file in found.files
    ]
    assert f"gs://{cloud.name}/run 1/ä/model" == found.model


def test_an_empty_folder_is_a_missing_model(connection: Connection, tmp_path: Path) -> None:
    """The message names the folder that was looked at, in both forms, and what to do."""
    with pytest.raises(ModelMissing) as caught:
        list_model(connection, OUTPUT, sleep=lambda _: None)

    said = str(caught.value)
    assert str(tmp_path / "buckets/bucket/run 1/ä/model") in said
    assert "gs://bucket/run 1/ä/model/" in said
    assert "AIP_MODEL_DIR" in said
    assert not caught.value.transient


def test_an_empty_prefix_is_a_missing_model(connection: Connection, cloud: storage.Bucket) -> None:
    """In the cloud the message names the folder as a gs:// URI."""
    cloud.blob("out/model/").upload_from_string(b"")

    with pytest.raises(ModelMissing, match=f"gs://{cloud.name}/out/model/"):
        list_model(connection, f"gs://{cloud.name}/out", sleep=lambda _: None)


def test_a_missing_bucket_says_so(connection: Connection, cloud: storage.Bucket) -> None:
    """No bucket is another mistake than no model."""
    with pytest.raises(VertexError, match="not found while trying to list the model's files") as caught:
        list_model(connection, "gs://nowhere-to-be-found/out", sleep=lambda _: None)

    assert not isinstance(caught.value, ModelMissing)


def test_a_file_that_shows_up_a_moment_later_is_found(connection: Connection, in_folder: Save) -> None:
    """An empty answer is asked again before it is believed."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == LISTINGS - 1:
            in_folder("run 1/ä/model/m", b"1")

    assert [file.path for file in list_model(connection, OUTPUT, sleep=wait).files] == ["m"]


def test_dead_links_and_folders_are_no_files(connection: Connection, in_folder: Save) -> None:
    """Only what can be read counts as a model."""
    in_folder("run 1/ä/model/m", b"1")
    folder = connection.models.root / "bucket/run 1/ä/model"  # pyright: ignore[reportAttributeAccessIssue]
    (folder / "gone").symlink_to("nowhere")
    (folder / "empty").mkdir()

    assert [file.path for file in list_model(connection, OUTPUT).files] == ["m"]


def test_a_file_that_changes_while_it_is_read_is_an_error(connection: Connection, in_folder: Save) -> None:
    """A receipt never holds a size and a checksum of two different files."""
    in_folder("run 1/ä/model/m", b"12345")
    store = connection.models

    class Growing(FolderStore):
        def read(self, uri: str, sink: object) -> None:
            in_folder("run 1/ä/model/m", b"123456")
            super().read(uri, sink)  # pyright: ignore[reportArgumentType]

    connection._cached["models"] = Growing(store.root)  # pyright: ignore[reportAttributeAccessIssue]

    with pytest.raises(VertexError, match="5 bytes listed, 6 read") as caught:
        list_model(connection, OUTPUT)

    assert caught.value.transient


@pytest.mark.parametrize("uri", ["", "gs://", "/tmp/x", "s3://bucket/x", "gs:///x", "bucket/x"])
def test_other_places_are_refused(uri: str) -> None:
    """A location that is not Cloud Storage's form says what the form is."""
    with pytest.raises(VertexError, match="gs://BUCKET/FOLDER"):
        split_uri(uri)


@pytest.mark.parametrize("uri", ["gs://bucket/../other", "gs://bucket/a/../../x", "gs://../x"])
def test_no_uri_leads_out_of_its_bucket(tmp_path: Path, uri: str) -> None:
    """A prefix with `..` would read a stranger's files."""
    (tmp_path / "bucket").mkdir()

    with pytest.raises(VertexError, match=r"leads out|not a Cloud Storage"):
        FolderStore(tmp_path).objects(uri)


@given(data=st.dictionaries(st.text("abc", min_size=1, max_size=3), st.binary(max_size=300), min_size=1))
def test_any_files_come_back_whole(vertex: TinyVertex, tmp_path_factory: pytest.TempPathFactory, data: dict) -> None:
    """Whatever is saved, the receipt lists all of it, sorted, with its true checksums."""
    root = tmp_path_factory.mktemp("any")
    folder = root / "b" / "out" / "model"
    folder.mkdir(parents=True)
    for name, content in data.items():
        (folder / name).write_bytes(content)
    store = FolderStore(root)

    assert [(name, len(data[name])) for name in sorted(data)] == [
        (item.path, item.size) for item in store.objects("gs://b/out/model")
    ]


def test_an_older_model_is_not_this_jobs(connection: Connection, in_folder: Save) -> None:
    """A folder that another job filled holds nothing new; the message says where it looked and how old that is."""
    in_folder("run 1/ä/model/m", b"1")
    in_folder("run 1/ä/model/n", b"2")

    with pytest.raises(ModelMissing, match=r"nothing new: the 2 files there are older than the job, .*run 1/ä/model"):
        list_model(connection, OUTPUT, since=time.time() + 60, sleep=lambda _: None)
    assert len(list_model(connection, OUTPUT, since=time.time() - 60).files) == 2


def test_a_file_with_an_old_date_is_new_all_the_same(connection: Connection, in_folder: Save) -> None:
    """A script may copy a file with its date, as `cp -p` and shutil.copy2 do."""
    begin = time.time()
    in_folder("run 1/ä/model/m", b"1")
    os.utime(connection.models.root / "bucket/run 1/ä/model/m", (0, 0))  # pyright: ignore[reportAttributeAccessIssue]

    assert len(list_model(connection, OUTPUT, since=begin).files) == 1


def test_an_older_model_in_a_bucket_is_not_this_jobs(connection: Connection, cloud: storage.Bucket) -> None:
    """The bucket's own dates count there."""
    cloud.blob("out/model/m").upload_from_string(b"1")
    output = f"gs://{cloud.name}/out"

    with pytest.raises(ModelMissing, match="nothing new: the 1 files"):
        list_model(connection, output, since=time.time() + 3600, sleep=lambda _: None)
    assert len(list_model(connection, output, since=time.time() - 3600).files) == 1


def conform(store: ModelStore, uri: str) -> None:
    """What every store does with small objects."""
    assert store.document(uri) is None
    assert store.write(uri, b"1", generation=0)
    assert not store.write(uri, b"2", generation=0)
    first = store.document(uri)
    assert first is not None
    assert (first.data, first.generation != 0) == (b"1", True)
    assert store.write(uri, b"3", generation=first.generation)
    assert not store.write(uri, b"4", generation=first.generation)
    second = store.document(uri)
    assert second is not None
    assert second.data == b"3"


def test_a_folder_writes_only_unchanged_objects(tmp_path: Path) -> None:
    """The same as a bucket does."""
    conform(FolderStore(tmp_path), "gs://bucket/out/receipt.json")


def test_a_bucket_writes_only_unchanged_objects(connection: Connection, cloud: storage.Bucket) -> None:
    """Through Cloud Storage's own preconditions."""
    conform(connection.models, f"gs://{cloud.name}/out/receipt.json")


ORIGIN = Origin("f" * 64, "c" * 40, "d" * 64, "flow-run")


@pytest.fixture
def done(connection: Connection, vertex: TinyVertex, request_: JobRequest, in_folder: Save) -> str:
    """The name of a job that succeeded and saved a model."""
    job = submit(connection, replace(request_, env={"TOKEN": "hidden"}), "t1", record=lambda _: None)
    vertex.jobs()[0].state = JobState.JOB_STATE_SUCCEEDED
    in_folder("out/model/m", b"weights")
    return job.name


def test_the_receipt_is_written_beside_the_model(connection: Connection, done: str, request_: JobRequest) -> None:
    """Image, code, requirements, arguments, machine, job and files; of variables only the names."""
    place = record_model(connection, done, ORIGIN).document
    text = Path(place).read_text("utf-8")
    said = json.loads(text)

    assert place.endswith("bucket/out/receipt.json")
    assert (said["image"], said["args"]) == (request_.image, ["--epochs", "3"])
    assert said["code"] == {"commit": "c" * 40, "fingerprint": "f" * 64}
    assert said["requirements"] == {"sha256": "d" * 64}
    assert said["pools"][0]["machine_type"] == "n1-standard-4"
    assert (said["job"]["name"], said["job"]["state"]) == (done, "JOB_STATE_SUCCEEDED")
    assert said["job"]["created"].endswith("Z")
    (file,) = said["files"]
    assert (file["path"], file["bytes"], file["sha256"]) == ("m", 7, hashlib.sha256(b"weights").hexdigest())
    assert "TOKEN" in said["variables"]
    assert "hidden" not in text


def test_a_retry_finds_its_receipt(connection: Connection, done: str) -> None:
    """The same bytes, and nothing is written; another job's receipt is replaced."""
    place = Path(record_model(connection, done, ORIGIN).document)
    before = place.stat()

    assert record_model(connection, done, ORIGIN).document == str(place)
    assert place.stat().st_ino == before.st_ino
    place.write_text("{}")
    record_model(connection, done, ORIGIN)
    assert json.loads(place.read_text("utf-8"))["job"]["name"] == done


def test_one_read_of_the_job_makes_the_receipt(connection: Connection, vertex: TinyVertex, done: str) -> None:
    """Its output, its creation and its document come from the same answer."""
    vertex.calls.clear()
    found = record_model(connection, done, ORIGIN)

    assert vertex.calls == ["get"]
    assert [file.path for file in found.files] == ["m"]


def test_an_older_model_is_not_recorded(connection: Connection, vertex: TinyVertex, done: str) -> None:
    """A folder in which no file is newer than the job holds another job's model: no receipt is written for it."""
    vertex.jobs()[0].create_time = datetime.fromtimestamp(time.time() + 3600, tz=UTC)

    with pytest.raises(ModelMissing, match="nothing new"):
        record_model(connection, done, ORIGIN)


def test_a_model_at_the_place_that_the_arguments_name(connection: Connection, in_folder: Save) -> None:
    """Where the job's own folder is empty, new objects at a place of the person's own choice are the model."""
    in_folder("mine/model.bin", b"weights")
    places = list(literal_outputs(["--model-dir=gs://bucket/mine"]))

    found = list_model(connection, OUTPUT, places, since=time.time() - 60)
    assert [file.path for file in found.files] == ["model.bin"]
    assert Path(found.model).name == "mine"

    with pytest.raises(ModelMissing):
        list_model(connection, OUTPUT, places, since=time.time() + 60, sleep=lambda _: None)


def test_the_jobs_own_folder_comes_first(connection: Connection, in_folder: Save) -> None:
    """A place that the arguments name counts only where the job's own folder holds nothing new."""
    in_folder("run 1/\u00e4/model/own", b"1")
    in_folder("mine/other", b"2")

    found = list_model(connection, OUTPUT, list(literal_outputs(["--model-dir=gs://bucket/mine"])))
    assert [file.path for file in found.files] == ["own"]
