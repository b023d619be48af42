"""Writes a tar's entries, and hashes them: what a layer is before it is compressed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from . import tar_headers
from .decompression import CorruptData

PIECE = 256 * 1024
"""Bytes that are hashed and packed at a time: a call for each header and small file would cost more than its work."""


class TarWriter:
    """Hashes the tar of the entries in the order given; parent folders are added before their first entry.

    The bytes themselves go nowhere: it tells the diff ID of a layer that may exist already. `LayerWriter` keeps them.
    """

    def __init__(self) -> None:
        self._uncompressed = hashlib.sha256()
        self._held = bytearray()
        self._folders: set[str] = set()

    def add_directory(self, path: str, mode: int = 0o755) -> None:
        """A folder; added once, however often it is named."""
        self._add_parents(path)
        if path not in self._folders:
            self._folders.add(path)
            self._write(tar_headers.directory_header(path, mode))

    def add_symlink(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._add_parents(path)
        self._write(tar_headers.symlink_header(path, target))

    def add_file(self, path: str, size: int, blocks: Iterable[bytes], *, executable: bool) -> None:
        """A file of `blocks`, together exactly `size` bytes.

        Raises:
            CorruptData: They are more or fewer. What was written is then useless.
        """
        self._add_parents(path)
        self._write(tar_headers.file_header(path, size, executable=executable))
        written = 0
        for block in blocks:
            if not written:
                self._begin_content(block, size)
            self._write(block)
            written += len(block)
        if written != size:
            raise CorruptData(f"{written} bytes where {size} were announced")
        self._write(tar_headers.padding(size))

    def finish_tar(self) -> str:
        """Ends the tar; returns the diff ID of its layer."""
        self._write(tar_headers.END)
        self._release()
        return f"sha256:{self._uncompressed.hexdigest()}"

    def _add_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent and parent not in self._folders:
            self._add_parents(parent)
            self._folders.add(parent)
            self._write(tar_headers.directory_header(parent))

    def _write(self, data: bytes) -> None:
        """Some bytes of the tar. Pieces end where their size says, whatever the sizes of what is written."""
        self._held += data
        while len(self._held) >= PIECE:
            self._take(PIECE)

    def _release(self) -> None:
        """Ends the piece here."""
        if self._held:
            self._take(len(self._held))

    def _take(self, size: int) -> None:
        with memoryview(self._held)[:size] as piece:
            self._uncompressed.update(piece)
            self._pack(piece)
        del self._held[:size]

    def _pack(self, piece: memoryview) -> None:
        """A piece of the tar, in order."""

    def _begin_content(self, block: bytes, size: int) -> None:
        """Called with the first block of a file of `size` bytes, before it is written."""
