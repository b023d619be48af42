"""A data set is in the bucket once, by content, and an edit sends what changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from prefect_vertex_training.core.errors import DataError
from prefect_vertex_training.datasets import data_files, data_upload, sending, upload_layouts
from prefect_vertex_training.datasets.data_plan import check_disk, lines
from prefect_vertex_training.datasets.prepare import LocalData, check_limit, chosen_mode, prepare


def packs(bucket: Any) -> list[int]:
    """Sizes of the packs, the smallest first."""
    return sorted(size for name, size in bucket.stored().items() if name.startswith("packs/"))


def test_small_files_lie_in_a_pack_and_large_ones_alone(bucket: Any) -> None:
    """The manifest is the last object; a second upload sends nothing."""
    first = bucket.upload()
    second = bucket.upload()

    assert (first.files, first.size, first.sent_objects) == (4, 1_200_006, 3)
    assert sorted(name.partition("/")[0] for name in bucket.stored()) == ["manifests", "objects", "packs"]
    assert packs(bucket) == [6]
    assert (second.dataset, second.sent_objects) == (first.dataset, 0)


def test_a_changed_file_goes_into_a_new_small_pack(bucket: Any) -> None:
    """The other packs and objects stay; the data set has another ID, and back again the first one."""
    first = bucket.upload()
    (bucket.source / "a.txt").write_text("changed")
    second = bucket.upload()
    (bucket.source / "a.txt").write_text("A")
    third = bucket.upload()

    assert second.dataset != first.dataset
    assert packs(bucket)[-1] == len("changed")
    assert second.sent_objects == 2
    assert (third.dataset, third.sent_objects) == (first.dataset, 0)


def test_renamed_copied_and_removed_files_send_nothing_but_the_manifest(bucket: Any) -> None:
    """Content that the bucket has is found by its hash, whatever its name."""
    bucket.upload()
    (bucket.source / "b.txt").rename(bucket.source / "renamed.txt")
    (bucket.source / "copy.bin").write_bytes((bucket.source / "large.bin").read_bytes())
    (bucket.source / "a.txt").unlink()
    done = bucket.upload()

    assert (done.files, done.sent_objects) == (4, 1)


def test_another_machine_sends_nothing(bucket: Any) -> None:
    """Without the index the files are read, and found in the bucket."""
    first = bucket.upload()
    bucket.cache = bucket.cache.parent / "other"
    again = bucket.upload()
    (bucket.source / "b.txt").write_text("B2")
    edited = bucket.upload()

    assert (again.dataset, again.sent_objects) == (first.dataset, 0)
    assert edited.sent_objects == 2
    assert packs(bucket) == [2, 6]


def test_what_somebody_deleted_is_sent_again(bucket: Any) -> None:
    """The index is not trusted when the bucket has lost the manifest that it stands for."""
    first = bucket.upload()
    for path in (bucket.folder / "vertex-training-data").rglob("*"):
        if path.is_file():
            path.unlink()
    (bucket.source / "b.txt").write_text("B2")
    second = bucket.upload()

    assert second.sent_objects == first.sent_objects
    assert packs(bucket) == [6]


def test_packs_that_are_mostly_unused_are_made_anew(bucket: Any) -> None:
    """Else a job would read, and the bucket keep, what nobody needs."""
    bucket.upload()
    for name, text in (("b.txt", "xx"), ("sub/c.txt", "yyy")):
        (bucket.source / name).write_text(text)
    bucket.upload()

    assert packs(bucket) == [6, 6]  # the second holds the unchanged file, too


def test_many_small_packs_become_one(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each edit leaves one; above a number they are joined."""
    monkeypatch.setattr(upload_layouts, "_MANY_PACKS", 3)
    for number in range(6):
        (bucket.source / f"new{number}.txt").write_text(f"new {number}")
        done = bucket.upload()

    manifest = next(path for path in (bucket.folder / "vertex-training-data" / "manifests").glob(f"{done.dataset}*"))
    from prefect_vertex_training.datasets.manifest import Manifest

    assert len(Manifest.decode(manifest.read_bytes(), "").packs) <= 4


def test_a_mounted_data_set_lies_there_by_name(bucket: Any) -> None:
    """An edit copies the unchanged files within the bucket."""
    first = bucket.upload("mount")
    (bucket.source / "a.txt").write_text("changed")
    second = bucket.upload("mount")
    trees = bucket.folder / "vertex-training-data" / "trees"

    assert (trees / first.dataset / "a.txt").read_text() == "A"
    assert (trees / second.dataset / "a.txt").read_text() == "changed"
    assert (trees / second.dataset / "large.bin").read_bytes() == (bucket.source / "large.bin").read_bytes()
    assert second.sent_objects == 2


def test_an_interrupted_upload_leaves_no_data_set(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its manifest it is not there; the next one goes on."""
    real = sending.Sent.put

    def put(self: Any, name: str, data: bytes) -> None:
        if "manifests/" in name:
            raise ConnectionError("cut")
        real(self, name, data)

    monkeypatch.setattr(sending.Sent, "put", put)
    with pytest.raises(ConnectionError):
        bucket.upload()

    assert not [name for name in bucket.stored() if name.startswith("manifests/")]

    monkeypatch.undo()
    assert bucket.upload().sent_objects == 1


def test_links_odd_names_and_patterns(bucket: Any) -> None:
    """A link stands for what it leads to; any name that is text works; patterns choose files."""
    outside = bucket.source.parent / "outside"
    outside.mkdir()
    (outside / "far.txt").write_text("far")
    (bucket.source / "link").symlink_to(outside)
    (bucket.source / "to file").symlink_to("a.txt")
    for name in ("new\nline", "ünï ✓", "-rf", "a:b\\c", ".hidden", "q?#%"):
        (bucket.source / name).write_text(name)
    paths = [file.path for file in data_files.find_files(bucket.source, (), "train")]

    assert {"link/far.txt", "to file", "new\nline", "ünï ✓", "-rf", ".hidden", "q?#%"} < set(paths)
    assert paths == sorted(paths)
    assert [f.path for f in data_files.find_files(bucket.source, ("*.bin", "sub/*"), "train")] == [
        "large.bin",
        "sub/c.txt",
    ]
    bucket.upload()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: (folder / "broken").symlink_to("nothing"), "a link of the data leads nowhere"),
        (lambda folder: (folder / "loop").symlink_to("."), "leads back above itself"),
        (lambda folder: os.mkfifo(folder / "pipe"), "pipe, socket or device"),
        (lambda folder: os.mknod(os.fsencode(folder) + b"/\xff"), "not UTF-8"),
    ],
)
def test_what_can_not_be_data_is_named(bucket: Any, make: Any, said: str) -> None:
    """One line, with the place."""
    make(bucket.source)

    with pytest.raises(DataError, match=said) as caught:
        bucket.upload()
    assert str(bucket.source) in str(caught.value)


@pytest.mark.parametrize("size", [3, 1_200_000])
def test_a_file_that_grows_while_it_is_read_stops_the_upload(
    bucket: Any, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have another content than its hash says; nothing of it counts as uploaded."""
    path = bucket.source / "grows"
    path.write_bytes(b"x" * size)
    real = data_upload.hash_files

    def hash_files(prepared: Any, hashed: Any) -> Any:
        def grown(file: Any, known: Any) -> None:  # before `hashed`: from there on, a large file is being sent
            if file.path == "grows":
                path.write_bytes(b"y" * (size + 1))
            hashed(file, known)

        return real(prepared, grown)

    monkeypatch.setattr(data_upload, "hash_files", hash_files)

    with pytest.raises(DataError, match="changes while it is read") as caught:
        bucket.upload()
    assert str(path) in str(caught.value)
    assert not [name for name in bucket.stored() if name.startswith("manifests/")]


def test_missing_and_empty_data(bucket: Any, tmp_path: Path) -> None:
    """One line with the name of the data set."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match="the data set x: it is empty"):
        prepare(LocalData("x", "empty", tmp_path / "empty"), "b", tmp_path)
    with pytest.raises(DataError, match="the data set x can't be read: no such file"):
        prepare(LocalData("x", "gone", tmp_path / "gone"), "b", tmp_path)
    with pytest.raises(DataError, match="no file of it matches"):
        prepare(LocalData("x", "s", bucket.source, ("*.zip",)), "b", tmp_path)


def test_what_is_said_and_refused_before_anything_is_sent(bucket: Any) -> None:
    """Files, bytes, what is new, time and cost; limits of the data and of the job's disk."""
    prepared = prepare(LocalData("train", "data", bucket.source, (), "copy"), "b", bucket.cache)

    (said,) = lines([prepared], "b", "europe-west4", local=False)
    assert said.startswith("data: train: 4 files, 1.2 MB, copy; new: 4 files, 1.2 MB, about 1 min at 75 Mbit/s; 0.00")
    with pytest.raises(DataError, match=r"over the limit of 0\.001 GB"):
        check_limit([prepared], 0.001)
    with pytest.raises(DataError, match=r"a disk of 10 GB, which is too small.*boot-disk-gb = 21"):
        check_disk([prepared], 10)
    check_disk([prepared], 100)


def test_sizes_choose_the_mode(bucket: Any) -> None:
    """Many small files are copied; few large ones are read through /gcs."""
    file = data_files.DataFile("f", "f", 1, 0, 0)

    assert chosen_mode([file] * 10) == "copy"
    assert chosen_mode([file._replace(size=5 << 20)] * 10) == "mount"
    assert chosen_mode([file._replace(size=4_000_000)] * 2001) == "copy"
    assert chosen_mode([file._replace(size=8_000_000)] * 2001) == "mount"


def test_a_bucket_that_is_not_there(bucket: Any) -> None:
    """One line with the bucket's name."""
    (bucket.folder).rename(bucket.folder.parent / "other")

    with pytest.raises(DataError, match=r"not found: .*\(gs://b"):
        bucket.upload()
