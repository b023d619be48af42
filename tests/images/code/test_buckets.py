"""Code layers: exactly those whose files changed are made again."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import ImageError
from prefect_vertex_training.images.code.buckets import (
    DATA_BUCKETS,
    SOURCE_BUCKETS,
    split,
    write_bucket,
    write_directories,
)
from prefect_vertex_training.images.code.state import CodeState
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.files.project_file import ProjectFile
from prefect_vertex_training.project.settings.settings import load


def _files(root: Path, **contents: bytes) -> list[ProjectFile]:
    files = []
    for name, content in contents.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files.append(ProjectFile(path.relative_to(root).as_posix(), path, len(content), False))
    return files


def _listing(files: Sequence[ProjectFile]) -> dict[str, list[str]]:
    found = {}
    for bucket in split(files, time.time_ns()):
        out = io.BytesIO()
        write_bucket(out, bucket)
        with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
            found[bucket.title] = [entry.name for entry in archive if entry.isfile()]
    return found


def test_sources_apart_from_data(tmp_path: Path) -> None:
    """Code and data of one folder get different layers; files of one kind in one folder share a layer."""
    files = _files(tmp_path, **{"train.py": b"1", "lib.py": b"2", "cat.png": b"3", "dog.png": b"4"})

    found = _listing(files)

    assert sorted(found.values()) == [["app/cat.png", "app/dog.png"], ["app/lib.py", "app/train.py"]]
    assert [title.split()[0] for title in sorted(found)] == ["code", "data"]


def test_big_sources_are_data(tmp_path: Path) -> None:
    """A JSON file of some megabytes is data by its size."""
    assert list(_listing(_files(tmp_path, **{"x.json": bytes(2_000_000)}))) == ["data 1/16"]


def test_number_of_buckets(tmp_path: Path) -> None:
    """The number of layers doesn't grow with the number of folders."""
    names = [f"d{number}__{kind}" for number in range(300) for kind in ("a.py", "b.bin")]
    titles = [bucket.title for bucket in split(_files(tmp_path, **dict.fromkeys(names, b"")), 0)]

    assert len(titles) == SOURCE_BUCKETS + DATA_BUCKETS


def _known(state: CodeState, files: Sequence[ProjectFile], now: int) -> list[bool]:
    return [state.layer(bucket) is not None for bucket in split(files, now)]


def _remember(state: CodeState, files: Sequence[ProjectFile], now: int) -> None:
    for bucket in split(files, now):
        state.remember(bucket, *write_bucket(io.BytesIO(), bucket))
    state.save()


def test_untouched_files_are_not_read(tmp_path: Path) -> None:
    """Once all files are older than two seconds, their status is enough: they needn't be readable."""
    files = _files(tmp_path / "project", **{"a.py": b"1", "b.bin": b"2"})
    later = time.time_ns() + 3 * 10**9
    _remember(CodeState(tmp_path / "cache", tmp_path), files, later)

    state = CodeState(tmp_path / "cache", tmp_path)

    assert _known(state, files, later) == [True, True]
    assert not any(bucket.racy for bucket in split(files, later))


@pytest.mark.parametrize("same_size", [True, False])
def test_a_change_within_the_same_instant(same_size: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change so soon after the scan that the file's times stay equal is found by its hash."""
    files = _files(tmp_path / "project", **{"a.py": b"1", "b.bin": b"2"})
    now = time.time_ns()
    _remember(CodeState(tmp_path / "cache", tmp_path), files, now)
    frozen = {file.source: file.source.stat() for file in files}
    assert _known(CodeState(tmp_path / "cache", tmp_path), files, now) == [True, True]

    (tmp_path / "project/a.py").write_bytes(b"3" if same_size else b"33")
    if same_size:  # a disk with coarse times, or a tool that sets them back
        monkeypatch.setattr("prefect_vertex_training.images.code.buckets.os.stat", lambda path: frozen[path])

    assert _known(CodeState(tmp_path / "cache", tmp_path), files, now) == [False, True]


def test_racy_files_are_hashed_until_they_are_old(tmp_path: Path) -> None:
    """Two seconds after the last change the hashes are dropped, and the file status is enough again."""
    files = _files(tmp_path / "project", **{"a.py": b"1"})
    now = time.time_ns()
    _remember(CodeState(tmp_path / "cache", tmp_path), files, now)
    later = CodeState(tmp_path / "cache", tmp_path)
    assert _known(later, files, now + 5 * 10**9) == [True]
    later.save()

    saved = next((tmp_path / "cache").glob("*.json")).read_text()

    assert '"racy": {}' in saved


@pytest.mark.parametrize("change", ["content", "mode", "removed", "added", "renamed"])
def test_any_change_is_seen(change: str, tmp_path: Path) -> None:
    """Contents, mode, names and number of files are all compared."""
    root = tmp_path / "project"
    files = _files(root, **{"a.py": b"1", "b.py": b"2"})
    later = time.time_ns() + 3 * 10**9
    state = CodeState(tmp_path / "cache", tmp_path)
    _remember(state, files, later)
    if change == "content":
        os.utime(files[0].source, (1, 1))
    elif change == "mode":
        files[0] = ProjectFile("a.py", files[0].source, 1, True)
    elif change == "removed":
        files.pop()
    elif change == "added":
        files += _files(root, **{"c.py": b""})
    else:
        files[0] = ProjectFile("z.py", files[0].source, 1, False)

    assert _known(state, files, later) == [False]


def test_broken_state_costs_only_time(tmp_path: Path) -> None:
    """A damaged record is ignored, and the layers are made again."""
    files = _files(tmp_path / "project", **{"a.py": b"1"})
    _remember(CodeState(tmp_path / "cache", tmp_path), files, 0)
    record = next((tmp_path / "cache").glob("*.json"))
    for text in ("", "[]", '{"format": 1}', "\x00"):
        record.write_text(text)

        assert _known(CodeState(tmp_path / "cache", tmp_path), files, 0) == [False]


def test_folders_are_writable_by_every_user(tmp_path: Path) -> None:
    """Folders that the project asks for have mode 777."""
    out = io.BytesIO()
    write_directories(out, ["output/model", "output"])

    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        modes = {entry.name: entry.mode for entry in archive}
    assert modes == {"app": 0o755, "app/output": 0o777, "app/output/model": 0o777}


@pytest.mark.parametrize("path", ["../x", "a/../x", "/x", "a//x", "a/.wh.b"])
def test_impossible_names(path: str, tmp_path: Path) -> None:
    """Names that lead out of the project, or delete files of other layers, are refused."""
    (tmp_path / "x").write_bytes(b"")

    with pytest.raises(ImageError) as caught:
        split([ProjectFile(path, tmp_path / "x", 0, False)], 0)
    assert path in str(caught.value)
    with pytest.raises(ImageError):
        write_directories(io.BytesIO(), [path])


def test_files_that_are_gone(tmp_path: Path) -> None:
    """The error names a file that was removed meanwhile."""
    files = _files(tmp_path, **{"a.py": b"1"})
    bucket = split(files, 0)[0]
    files[0].source.unlink()

    with pytest.raises(ImageError, match=r"can't read a\.py"):
        write_bucket(io.BytesIO(), bucket)
    with pytest.raises(ImageError, match=r"can't read a\.py"):
        split(files, 0)


def test_a_file_that_changed_since_it_was_listed(tmp_path: Path) -> None:
    """A file that was saved after it was listed is an error; one that only got a new mode isn't."""
    (tmp_path / "a.py").write_bytes(b"1")
    (tmp_path / "train.py").write_bytes(b"1")
    bucket = split(list_files(tmp_path, load(tmp_path)), 0)[0]
    bucket.files[0].source.chmod(0o600)
    write_bucket(io.BytesIO(), bucket)
    bucket.files[0].source.write_bytes(b"2")

    with pytest.raises(ImageError, match=r"a\.py changed while the image was built"):
        write_bucket(io.BytesIO(), bucket)
