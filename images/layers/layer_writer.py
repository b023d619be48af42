"""Writes a layer: a gzip-compressed tar whose bytes depend on its entries alone.

A gzip file may have many members (RFC 1952, 2.2). So data that is already deflated, as in a zip, becomes a member of
its own, untouched, between members that hold the tar headers; all else is compressed a piece of the tar at a time.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from . import tar_headers
from .compression import Deflate, crc32, portable
from .decompression import Inflater
from .tar_writer import TarWriter

CHUNK = 256 * 1024
"""Bytes read at a time; what bounds the memory."""

_SAMPLED = 16 * 1024  # bytes from which on a file is tried before it is compressed
_SAMPLE = 2 * 1024
_GATHERED = 32 * 1024  # compressed bytes hashed and written at a time; a longer block goes as it is
_STORED = 0xFFFF  # bytes that a stored block can hold
_LAST_STORED = b"\1\0\0\xff\xff"
_MEMBER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, unknown system


def _trailer(crc: int, size: int) -> bytes:
    return struct.pack("<II", crc, size & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer by its two hashes.

    Attributes:
        title: What it holds, for people.
        digest: Of the compressed bytes.
        diff_id: Of the uncompressed tar.
        size: Compressed bytes.
    """

    title: str
    digest: str
    diff_id: str
    size: int


class LayerWriter(TarWriter):
    """Writes entries to `out` in the order given; parent folders are added before their first entry.

    Memory stays flat: a piece of the tar is held, and a block of an entry. No path may be added twice: engines refuse
    that.

    Args:
        out: Gets the compressed layer.
        deflate: Compresses what isn't compressed yet.
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
        """A file that is already deflated; its bytes go out unchanged, checked on the way.

        Args:
            path: Where it lies in the image.
            size: Inflated bytes.
            crc: CRC-32 of the inflated bytes.
            deflated: A raw deflate stream.
            executable: Mode 755, else 644.
            tee: Gets the inflated bytes.

        Raises:
            CorruptData: It isn't a deflate stream of that size and CRC. What was written is then useless.
        """
        self._add_parents(path)
        self._write(tar_headers.file_header(path, size, executable=executable))
        self._release()
        self._gathered += _MEMBER
        inflater = Inflater(size, crc)
        for block in deflated:
            self._emit(block)
            for data in inflater.feed(block):
                self._uncompressed.update(data)
                if tee:
                    tee(data)
        for data in inflater.finish():
            self._uncompressed.update(data)
            if tee:
                tee(data)
        self._gathered += _trailer(crc, size)
        self._write(tar_headers.padding(size))

    def finish(self, title: str) -> Layer:
        """Ends the layer; nothing can be added afterwards."""
        diff_id = self.finish_tar()
        self._flush()
        return Layer(title, f"sha256:{self._compressed.hexdigest()}", diff_id, self._size)

    def _begin_content(self, block: bytes, size: int) -> None:
        """Files that don't compress are stored, with the headers between them: each change ends a member."""
        storing = size >= _SAMPLED and not self._compressible(block)
        if storing != self._storing:
            self._release()
            self._storing = storing

    def _compressible(self, block: bytes) -> bool:
        """Tries some bytes from the middle: formats with compressed data often begin with a header that isn't."""
        middle = len(block) // 2
        sample = block[middle : middle + _SAMPLE]
        return sample.isascii() or len(self._deflate(sample)) < 0.95 * len(sample)

    def _pack(self, piece: memoryview) -> None:
        """A piece of the tar becomes a member."""
        self._gathered += _MEMBER
        for block in _stored(piece) if self._storing else (self._deflate(piece),):
            self._emit(block)
        self._gathered += _trailer(crc32(piece), len(piece))

    def _emit(self, block: bytes | memoryview) -> None:
        """Compressed bytes: out they go, small blocks many at a time."""
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
    """A deflate stream whose blocks hold the bytes as they are (RFC 1951, 3.2.4)."""
    for start in range(0, len(piece), _STORED):
        block = piece[start : start + _STORED]
        yield struct.pack("<BHH", 0, len(block), len(block) ^ _STORED)
        yield block
    yield _LAST_STORED
