"""Checkpoints are copied from one output to another, in folders and in a real object store."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fixtures.google.object_store import object_store  # noqa: F401 - a fixture
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.vertex.client.connection import Connection
from prefect_vertex_training.vertex.client.storage import CloudStore, FolderStore, ModelStore
from prefect_vertex_training.vertex.resume.checkpoint_copy import checkpoints_of, copy_checkpoints


class Sink(bytearray):
    """Takes an object's bytes."""

    def write(self, data: bytes, /) -> int:
        """Adds them."""
        self.extend(data)
        return len(data)


@pytest.fixture(params=["folders", "buckets"])
def places(request: pytest.FixtureRequest, tmp_path: Path, connection: Connection, monkeypatch: Any) -> Any:
    """A store and the outputs of two runs, in buckets of two regions."""
    if request.param == "folders":
        return FolderStore(tmp_path), "gs://bucket-one/a/run 1", "gs://bucket-two/b/ü"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("object_store"))
    client = storage.Client(project="p", credentials=AnonymousCredentials())
    names = [client.create_bucket(f"b{uuid4().hex}").name for _ in range(2)]
    store = CloudStore("p", AnonymousCredentials(), connection.context)
    return store, f"gs://{names[0]}/a/run 1", f"gs://{names[1]}/b/ü"


def save(store: ModelStore, output: str, path: str, data: bytes) -> None:
    """Saves a checkpoint, in place of one of that name."""
    uri = f"{output}/checkpoints/{path}"
    found = store.document(uri)
    assert store.write(uri, data, generation=found.generation if found else 0)


def content(store: ModelStore, output: str) -> dict[str, bytes]:
    """All checkpoints of an output."""
    found = {}
    for item in store.objects(f"{output}/checkpoints"):
        sink = Sink()
        store.read(f"{output}/checkpoints/{item.path}", sink)
        found[item.path] = bytes(sink)
    return found


def test_all_are_copied_and_the_source_stays(places: Any) -> None:
    """Names and contents arrive, the newest is known, and nothing else of the output travels."""
    store, source, target = places
    for number, path in enumerate(("step-10.pt", "deep/ä b.pt", "step-9.pt")):
        save(store, source, path, bytes([number]) * 1000)
    store.write(f"{source}/model/model.pt", b"a model", generation=0)
    before = content(store, source)
    copied = copy_checkpoints(store, [source], target)

    assert content(store, target) == content(store, source) == before
    assert (copied.files, copied.size, copied.folder) == (3, 3000, f"{target}/checkpoints")
    assert copied.newest == checkpoints_of(store, source).newest == "step-9.pt"
    assert store.objects(f"{target}/model") == []


def test_of_several_sources_the_newest_file_counts(places: Any) -> None:
    """Whatever their order: a stale file that was copied first would look newer than the one that counts."""
    store, stale, recent = places
    target, back = f"{recent}/third", f"{stale}/fourth"
    for output, data in ((stale, b"5"), (recent, b"9")):
        save(store, output, "last.pt", data)
    copy_checkpoints(store, [stale, recent, target], target)
    copy_checkpoints(store, [recent, target, stale], back)

    assert content(store, target) == content(store, back) == {"last.pt": b"9"}


def test_what_was_written_there_since_counts(places: Any) -> None:
    """Repeated, the copy brings what is newer in the source, and keeps what is newer in the target."""
    store, source, target = places
    save(store, source, "last.pt", b"1")
    save(store, source, "best.pt", b"1")
    copy_checkpoints(store, [source], target)
    save(store, target, "last.pt", b"2")
    save(store, source, "best.pt", b"3")
    copy_checkpoints(store, [source], target)
    copy_checkpoints(store, [target], source)

    assert content(store, target) == content(store, source) == {"last.pt": b"2", "best.pt": b"3"}


def test_nothing_to_copy(places: Any) -> None:
    """An output without checkpoints, and an output onto itself."""
    store, source, target = places
    assert copy_checkpoints(store, [source], target).files == 0
    save(store, source, "last.pt", b"1")
    assert copy_checkpoints(store, [source], source).files == 1


def test_a_copy_that_fails_leaves_no_half_file(tmp_path: Path) -> None:
    """One line names the place; the target has no such file."""
    store = FolderStore(tmp_path)
    save(store, "gs://bucket/a", "last.pt", b"1")
    (tmp_path / "bucket/b").mkdir()
    (tmp_path / "bucket/b/checkpoints").write_text("not a folder")
    with pytest.raises(VertexError, match="can't copy"):
        store.copy("gs://bucket/a/checkpoints/last.pt", "gs://bucket/b/checkpoints/last.pt")

    assert [path.name for path in (tmp_path / "bucket/b").iterdir()] == ["checkpoints"]
