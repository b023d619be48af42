"""Files are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_vertex_training.core.atomic_files import atomic_file, write_atomic


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """No temporary file stays behind."""
    path = tmp_path / "file"
    write_atomic(path, "old")

    def write_half() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
