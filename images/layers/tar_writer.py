"""Writes the entries of a tar archive and hashes them: a layer before compression."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from . import tar_headers
from .decompression import CorruptData

PIECE = 256 * 1024
"""Bytes that are hashed and packed at a time: a call for each header and small file would cost more than its work."""


class TarWriter:
    """Hashes a tar archive of the entries in the order given; parent folders are added before their first entry.

    The archive itself is not stored: this class computes the diff ID of a layer that may exist already. A subclass
    that overrides `pack` and `begin_content` receives the archive in pieces, as `LayerWriter` does.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self._folders: set[str] = set()

    def add_directory(self, path: str, mode: int = 0o755) -> None:
        """Adds a folder, once."""
        self._add_parents(path)
        if path not in self._folders:
            self._folders.add(path)
            self._write(tar_headers.directory_header(path, mode))

    def add_symlink(self, path: str, target: str) -> None:
        """Adds a symbolic link."""
        self._add_parents(path)
        self._write(tar_headers.symlink_header(path, target))

    def add_file(self, path: str, size: int, blocks: Iterable[bytes], *, executable: bool) -> None:
        """Adds a file whose `blocks` have `size` bytes together.

        Raises:
            CorruptData: The blocks have another size. The archive is then useless.
        """
        self._add_parents(path)
        self._write(tar_headers.file_header(path, size, executable=executable))
        written = 0
        for block in blocks:
            if not written:
                self.begin_content(block, size)
            self._write(block)
            written += len(block)
        if written != size:
            raise CorruptData(f"{written} bytes where {size} were announced")
        self._write(tar_headers.padding(size))

    def add_hashed(self, path: str, size: int, blocks: Iterable[bytes], *, executable: bool) -> None:
        """Adds a file whose `blocks` are hashed and not packed: the caller packs the contents in another form.

        The piece before the contents is packed before the first block is read.
        """
        self._add_parents(path)
        self._write(tar_headers.file_header(path, size, executable=executable))
        self.end_piece()
        for block in blocks:
            self._hash.update(block)
        self._write(tar_headers.padding(size))

    def finish_tar(self) -> str:
        """Ends the archive; returns its diff ID."""
        self._write(tar_headers.END)
        self.end_piece()
        return f"sha256:{self._hash.hexdigest()}"

    def end_piece(self) -> None:
        """Packs what was written since the last piece."""
        if self._buffer:
            self._pack_first(len(self._buffer))

    def pack(self, piece: memoryview) -> None:
        """Called with each piece of the archive, in order; valid during the call only."""

    def begin_content(self, block: bytes, size: int) -> None:
        """Called with the first block of a file of `size` bytes, before it is written."""

    def _add_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent and parent not in self._folders:
            self._add_parents(parent)
            self._folders.add(parent)
            self._write(tar_headers.directory_header(parent))

    def _write(self, data: bytes) -> None:
        """Writes bytes of the archive; pieces are PIECE bytes long, however long `data` is."""
        self._buffer += data
        while len(self._buffer) >= PIECE:
            self._pack_first(PIECE)

    def _pack_first(self, size: int) -> None:
        with memoryview(self._buffer)[:size] as piece:
            self._hash.update(piece)
            self.pack(piece)
        del self._buffer[:size]
