"""Files that are whole or absent: written aside, then renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import storage_errors


@contextmanager
def atomic_file(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path` that becomes `path` when the block ends, and vanishes if it fails.

    Args:
        path: The final name; its folder is made.
        durable: Also survive a power cut (fsync), which costs milliseconds.

    Raises:
        StorageError: The disk is full or read-only.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise


def write_atomic(path: Path, data: bytes | str, *, durable: bool = False) -> None:
    """Writes `data` to `path`: afterwards the file holds all of it, or what it held before."""
    with atomic_file(path, durable=durable) as file:
        file.write(data.encode() if isinstance(data, str) else data)
