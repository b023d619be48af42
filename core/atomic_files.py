"""Atomic file writes: a reader sees the old file or the whole new one, never a part."""

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
    """Opens a temporary file beside `path`; it replaces `path` when the block ends and is deleted if the block fails.

    Args:
        path: The file to write; its folder is created.
        durable: Whether the file must also survive a power cut: calls fsync, which takes milliseconds.

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
    """Replaces the content of `path` by `data`; if that fails, the old content stays.

    Args and errors are those of `atomic_file`.
    """
    with atomic_file(path, durable=durable) as file:
        file.write(data.encode() if isinstance(data, str) else data)
