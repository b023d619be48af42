"""Writes a layer: a gzip-compressed tar whose bytes depend on its entries only.

A gzip file may have many members (RFC 1952, 2.2). So data that is already deflated, as in a zip, becomes a member of
its own without being compressed again; everything else is compressed in pieces of the tar, a member each.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .compression import Deflate, crc32, portable
from .decompression import Inflater
from .tar_writer import TarWriter

CHUNK = 256 * 1024
"""Bytes read at a time, which limits the memory used."""

_SAMPLED = 16 * 1024  # bytes from which a sample of a file is compressed first, to see whether that helps
_SAMPLE = 2 * 1024
_GATHERED = 32 * 1024  # compressed bytes hashed and written at a time; longer blocks are written as they are
_STORED = 0xFFFF  # the maximum size of a stored block
_LAST_STORED = b"\1\0\0\xff\xff"
_MEMBER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, unknown system


def _trailer(crc: int, size: int) -> bytes:
    return struct.pack("<II", crc, size & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, identified by two hashes.

    Attributes:
        title: A description for people.
        digest: SHA-256 of the compressed bytes.
        diff_id: SHA-256 of the uncompressed tar.
        size: Compressed bytes.
    """

    title: str
    digest: str
    diff_id: str
    size: int


class LayerWriter(TarWriter):
    """Writes a layer's entries to `out` in the order given; parent folders are added before their first entry.

    Memory use is constant: a piece of the tar and a block of an entry. A path must not be added twice, because
    container engines refuse such layers.

    Args:
        out: Receives the compressed layer.
        deflate: Compresses entries that aren't compressed yet.
    """

    def __init__(self, out: BinaryIO, deflate: Deflate = portable) -> None:
        super().__init__()
        self._out = out
        self._deflate = deflate
        self._compressed = hashlib.sha256()
        self._gathered = bytearray()
        self._size = 0
        self._storing = False

    def add_deflated(
        self,
        path: str,
        size: int,
        crc: int,
        deflated: Iterable[bytes],
        *,
        executable: bool,
        tee: Callable[[bytes], object] | None = None,
    ) -> None:
        """Adds a file that is already deflated; its compressed bytes are written unchanged, and checked.

        Args:
            path: The file's path in the image.
            size: Inflated bytes.
            crc: CRC-32 of the inflated bytes.
            deflated: A raw deflate stream.
            executable: Mode 755, else 644.
            tee: Called with the inflated bytes.

        Raises:
            CorruptData: It isn't a deflate stream of that size and CRC. The layer is then useless.
        """
        self.add_hashed(path, size, self._copy_deflated(size, crc, deflated, tee), executable=executable)

    def finish(self, title: str) -> Layer:
        """Ends the layer; nothing can be added afterwards."""
        diff_id = self.finish_tar()
        self._flush()
        return Layer(title, f"sha256:{self._compressed.hexdigest()}", diff_id, self._size)

    def pack(self, piece: memoryview) -> None:
        """Writes a piece of the tar as a gzip member."""
        self._gathered += _MEMBER
        for block in _stored(piece) if self._storing else (self._deflate(piece),):
            self._emit(block)
        self._gathered += _trailer(crc32(piece), len(piece))

    def begin_content(self, block: bytes, size: int) -> None:
        """Chooses whether a file is compressed or stored; each change starts a new piece."""
        storing = size >= _SAMPLED and not self._compressible(block)
        if storing != self._storing:
            self.end_piece()
            self._storing = storing

    def _copy_deflated(
        self, size: int, crc: int, deflated: Iterable[bytes], tee: Callable[[bytes], object] | None
    ) -> Iterator[bytes]:
        """Writes a deflate stream as a gzip member; yields the inflated bytes."""
        self._gathered += _MEMBER
        inflater = Inflater(size, crc)
        for block in deflated:
            self._emit(block)
            for data in inflater.feed(block):
                if tee:
                    tee(data)
                yield data
        for data in inflater.finish():
            if tee:
                tee(data)
            yield data
        self._gathered += _trailer(crc, size)

    def _compressible(self, block: bytes) -> bool:
        """Whether a sample from the middle compresses: compressed formats often begin with an uncompressed header."""
        middle = len(block) // 2
        sample = block[middle : middle + _SAMPLE]
        return sample.isascii() or len(self._deflate(sample)) < 0.95 * len(sample)

    def _emit(self, block: bytes | memoryview) -> None:
        """Writes compressed bytes, small blocks together."""
        if len(block) < _GATHERED:
            self._gathered += block
            if len(self._gathered) >= _GATHERED:
                self._flush()
        else:
            self._flush()
            self._put(block)

    def _flush(self) -> None:
        self._put(self._gathered)
        self._gathered.clear()

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        self._compressed.update(data)
        self._size += len(data)
        self._out.write(data)


def _stored(piece: memoryview) -> Iterator[bytes | memoryview]:
    """Yields a deflate stream that stores the bytes uncompressed (RFC 1951, 3.2.4)."""
    for start in range(0, len(piece), _STORED):
        block = piece[start : start + _STORED]
        yield struct.pack("<BHH", 0, len(block), len(block) ^ _STORED)
        yield block
    yield _LAST_STORED
