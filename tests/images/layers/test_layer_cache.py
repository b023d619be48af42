"""The layer cache: complete entries or none, with concurrent processes and after failures."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from prefect_vertex_training.core.errors import StorageError
from prefect_vertex_training.images.layers.layer_cache import LayerCache
from prefect_vertex_training.images.layers.layer_writer import Layer, LayerWriter


def _writes(content: bytes, calls: list[bytes] | None = None) -> Callable[[BinaryIO], Layer]:
    def write(out: BinaryIO) -> Layer:
        if calls is not None:
            calls.append(content)
        writer = LayerWriter(out)
        writer.add_file("x", len(content), [content], executable=False)
        return writer.finish("x")

    return write


def test_made_once(tmp_path: Path) -> None:
    """The second call finds the entry that the first one made, also in another process."""
    calls: list[bytes] = []
    first = LayerCache(tmp_path).get_or_make("key", _writes(b"one", calls))
    second = LayerCache(tmp_path).get_or_make("key", _writes(b"two", calls))

    assert calls == [b"one"]
    assert first.layer == second.layer
    assert (first.made, second.made) == (True, False)


def test_threads_wait_for_each_other(tmp_path: Path) -> None:
    """Of concurrent threads one makes the entry, and the others get it."""
    calls: list[bytes] = []
    barrier = threading.Barrier(8)

    def run() -> None:
        barrier.wait()
        LayerCache(tmp_path).get_or_make("key", _writes(os.urandom(50_000), calls))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(calls) == 1


@pytest.mark.parametrize("damage", ["cut", "changed", "longer", "gone", "record", "empty record"])
def test_damage_is_noticed(damage: str, tmp_path: Path) -> None:
    """A damaged entry is made again."""
    cache = LayerCache(tmp_path)
    before = cache.get_or_make("key", _writes(b"content"))
    data = before.path.read_bytes()
    if damage == "cut":
        before.path.write_bytes(data[:-1])
    elif damage == "changed":
        before.path.write_bytes(data[:20] + bytes([data[20] ^ 1]) + data[21:])
    elif damage == "longer":
        before.path.write_bytes(data + b"\0")
    elif damage == "gone":
        before.path.unlink()
    else:
        (tmp_path / "key.json").write_text("" if damage == "empty record" else '{"layer": {}}')

    assert cache.get("key") is None
    after = cache.get_or_make("key", _writes(b"content"))
    assert after.path.read_bytes() == data
    assert after.made


def test_touched_but_equal(tmp_path: Path) -> None:
    """The entries of a copied cache have new times; their digests are checked once."""
    cache = LayerCache(tmp_path)
    path = cache.get_or_make("key", _writes(b"content")).path
    os.utime(path, (1, 1))

    assert cache.get("key") is not None
    assert cache.get("key") is not None


def test_failure_leaves_nothing(tmp_path: Path, small_files) -> None:
    """An error while making, or a full disk, leaves the cache as it was."""
    cache = LayerCache(tmp_path)

    def fail(out: BinaryIO) -> Layer:
        out.write(b"half")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        cache.get_or_make("key", fail)
    with small_files(4096), pytest.raises(StorageError):
        cache.get_or_make("key", _writes(os.urandom(100_000)))

    assert [path.name for path in tmp_path.iterdir()] == ["locks"]
    assert cache.get_or_make("key", _writes(b"content")).made


def test_prune_keeps_what_was_used_last(tmp_path: Path) -> None:
    """Above the limit the entries used longest ago are removed, and never those in use."""
    cache = LayerCache(tmp_path, limit=250_000)
    for number in range(4):
        cache.get_or_make(f"key{number}", _writes(os.urandom(100_000)))
        os.utime(tmp_path / f"key{number}.json", (number, number))
    cache.get("key1")

    cache.prune(keep=frozenset({"key0"}))

    assert {path.stem for path in tmp_path.glob("*.layer")} == {"key0", "key1"}


def test_prune_removes_files_of_killed_processes(tmp_path: Path) -> None:
    """Unfinished files of killed processes are removed after a day."""
    for name, age in ((".key.layer.old", 1.0), (".key.layer.new", None)):
        (tmp_path / name).write_bytes(b"half")
        if age:
            os.utime(tmp_path / name, (age, age))

    LayerCache(tmp_path).prune()

    assert [path.name for path in tmp_path.iterdir()] == [".key.layer.new"]
