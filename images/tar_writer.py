"""Writes a tar's entries, and hashes them: what a layer is before it is compressed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from . import tar
from .inflate import CorruptData


class TarWriter:
    """Hashes the tar of the entries in the order given; parent folders are added before their first entry.

    The bytes themselves go nowhere: it tells the diff ID of a layer that may exist already. `LayerWriter` keeps them.
    """

    def __init__(self) -> None:
        self._uncompressed = hashlib.sha256()
        self._folders: set[str] = set()

    def add_directory(self, path: str, mode: int = 0o755) -> None:
        """A folder; added once, however often it is named."""
        self._add_parents(path)
        if path not in self._folders:
            self._folders.add(path)
            self._write(tar.directory_header(path, mode))

    def add_symlink(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._add_parents(path)
        self._write(tar.symlink_header(path, target))

    def add_file(self, path: str, size: int, blocks: Iterable[bytes], *, executable: bool) -> None:
        """A file of `blocks`, together exactly `size` bytes.

        Raises:
            CorruptData: They are more or fewer. What was written is then useless.
        """
        self._add_parents(path)
        self._write(tar.file_header(path, size, executable=executable))
        written = 0
        for block in blocks:
            self._write_content(block, size, first=not written)
            written += len(block)
        if written != size:
            raise CorruptData(f"{written} bytes where {size} were announced")
        self._end_content()
        self._write(tar.padding(size))

    def finish_tar(self) -> str:
        """Ends the tar; returns the diff ID of its layer."""
        self._write(tar.END)
        return f"sha256:{self._uncompressed.hexdigest()}"

    def _add_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent and parent not in self._folders:
            self._add_parents(parent)
            self._folders.add(parent)
            self._write(tar.directory_header(parent))

    def _write(self, data: bytes) -> None:
        self._uncompressed.update(data)

    def _write_content(self, data: bytes, size: int, *, first: bool) -> None:  # noqa: ARG002 - for who compresses
        """Some bytes of a file of `size`."""
        self._write(data)

    def _end_content(self) -> None:
        """Called after a file's last byte."""
