"""Records with a checksum, and the record of a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect_vertex_training.core.integrity.sealed_json import read_sealed, write_sealed
from prefect_vertex_training.core.integrity.tree_record import is_unchanged, record_compiled, record_tree


def test_every_damage_of_a_record_is_noticed(tmp_path: Path) -> None:
    """Each bit flip, each cut and a swap: the file is moved aside; no change is taken for a record."""
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    write_sealed(path, {"x": [1, 2.5, None], "é": "text"})
    assert read_sealed(path) == {"x": [1, 2.5, None], "é": "text"}
    data = path.read_bytes()
    damages = [data[:-1], b"", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"x": 1}', b"null"]
    damages += [data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :] for at in range(len(data))]
    for damage in damages:
        path.write_bytes(damage)
        assert read_sealed(path) is None or damage.split() == data.split()
        assert path.exists() is False or read_sealed(path) is not None
    other.write_bytes(data)
    assert read_sealed(other) is None
    assert (tmp_path / "b.json.damaged").exists()


CHANGES: dict[str, Callable[[Path], object]] = {
    "a byte": lambda root: (root / "a.py").write_text("x = 2\n"),
    "a byte, with its time set back": lambda root: _quietly(root / "a.py"),
    "gone": lambda root: (root / "a.py").unlink(),
    "new": lambda root: (root / "b.py").write_text(""),
    "a link": lambda root: ((root / "link").unlink(), (root / "link").symlink_to("b")),
    "a mode": lambda root: (root / "a.py").chmod(0o777),
    "deep below": lambda root: (root / "sub/c.py").write_text("changed"),
}


def _quietly(path: Path) -> None:
    status = path.stat()
    path.write_text("y = 1\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_a_folder(change: str, tmp_path: Path) -> None:
    """Every change of a file is noticed without reading any."""
    root, record = tmp_path / "root", tmp_path / "record.json"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("x = 1\n")
    (root / "sub/c.py").write_text("")
    (root / "link").symlink_to("a.py")
    record_tree(root, record)
    assert is_unchanged(root, record)
    CHANGES[change](root)

    assert not is_unchanged(root, record)


def test_compiled_modules(tmp_path: Path) -> None:
    """Those of a use that was recorded stay; others are removed, because they can be made again."""
    root, record = tmp_path / "root", tmp_path / "record.json"
    cache = root / "__pycache__"
    cache.mkdir(parents=True)
    (root / "a.py").write_text("")
    record_tree(root, record)
    (cache / "a.pyc").write_bytes(b"compiled")
    record_compiled(root, record)
    assert is_unchanged(root, record)
    assert (cache / "a.pyc").exists()
    (cache / "a.pyc").write_bytes(b"damaged!")

    assert is_unchanged(root, record)
    assert not cache.exists()
    assert not is_unchanged(tmp_path / "missing", record)
