"""Writes a layer: a gzip-compressed tar whose bytes depend on its entries alone.

A gzip file may have many members (RFC 1952, 2.2). So data that is already deflated, as in a zip, becomes a member of
its own, untouched, between members that hold the tar headers.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from zlib_ng import zlib_ng

from . import tar
from .inflate import Inflater
from .tar_writer import TarWriter

CHUNK = 256 * 1024
"""Bytes read at a time; what bounds the memory."""

COMPRESSION = "zlib-ng 1.1.0"
"""What compresses; part of every key under which layers are remembered, because it decides their bytes."""

_SAMPLED = 16 * 1024  # bytes from which on a file is tried before it is compressed
_SAMPLE = 4 * 1024
_FEW = 96  # different bytes among 256: noise has about 160, text and tables fewer
_GATHERED = 64 * 1024  # bytes hashed and written at a time: a call for each few would cost more than their hash
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

    Memory stays flat: at most `CHUNK` bytes of any entry are held. No path may be added twice: engines refuse that.

    Args:
        out: Gets the compressed layer.
        level: How hard to compress what isn't compressed yet: 1 for speed, 6 for what is made rarely.
    """

    def __init__(self, out: BinaryIO, level: int = 1) -> None:
        super().__init__()
        self._out = out
        self._level = level
        self._compressed = hashlib.sha256()
        self._gathered = bytearray()
        self._size = 0
        self._squeeze = None
        self._storing = False
        self._crc = 0
        self._length = 0

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
        self._write(tar.file_header(path, size, executable=executable))
        self._end_member()
        self._emit(_MEMBER)
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
        self._emit(_trailer(crc, size))
        self._write(tar.padding(size))

    def finish(self, title: str) -> Layer:
        """Ends the layer; nothing can be added afterwards."""
        diff_id = self.finish_tar()
        self._end_member()
        self._flush()
        return Layer(title, f"sha256:{self._compressed.hexdigest()}", diff_id, self._size)

    def _write_content(self, data: bytes, size: int, *, first: bool) -> None:
        if first and size >= _SAMPLED and not _compressible(data):
            # zlib-ng's fastest level makes incompressible data 5 % larger at 100 MB/s; storing it costs nothing.
            self._end_member()
            self._storing = True
            self._crc = self._length = 0
            self._emit(_MEMBER)
        (self._store if self._storing else self._write)(data)

    def _end_content(self) -> None:
        if self._storing:
            self._emit(_LAST_STORED + _trailer(self._crc, self._length))
            self._storing = False

    def _store(self, data: bytes) -> None:
        """Uncompressed bytes: into blocks of the current member that hold them as they are (RFC 1951, 3.2.4)."""
        self._uncompressed.update(data)
        self._crc = zlib_ng.crc32(data, self._crc)
        self._length += len(data)
        view = memoryview(data)
        for start in range(0, len(data), _STORED):
            block = view[start : start + _STORED]
            self._emit(struct.pack("<BHH", 0, len(block), len(block) ^ _STORED))
            self._emit(block)

    def _emit(self, data: bytes | memoryview) -> None:
        """Compressed bytes: out they go, many at a time."""
        self._gathered += data
        if len(self._gathered) >= _GATHERED:
            self._flush()

    def _flush(self) -> None:
        self._compressed.update(self._gathered)
        self._size += len(self._gathered)
        self._out.write(self._gathered)
        self._gathered = bytearray()

    def _write(self, data: bytes) -> None:
        """Uncompressed bytes: into the current member, which is opened when needed."""
        if not data:
            return
        if self._squeeze is None:
            self._squeeze = zlib_ng.compressobj(self._level, zlib_ng.DEFLATED, -15)
            self._crc = self._length = 0
            self._emit(_MEMBER)
        self._uncompressed.update(data)
        self._crc = zlib_ng.crc32(data, self._crc)
        self._length += len(data)
        if squeezed := self._squeeze.compress(data):
            self._emit(squeezed)

    def _end_member(self) -> None:
        if self._squeeze is not None:
            self._emit(self._squeeze.flush())
            self._emit(_trailer(self._crc, self._length))
            self._squeeze = None


def _compressible(block: bytes) -> bool:
    """Tries some bytes from the middle: formats with compressed data often begin with a header that isn't."""
    middle = len(block) // 2
    sample = block[middle : middle + _SAMPLE]
    if len(set(sample[:256])) < _FEW:
        return True
    squeeze = zlib_ng.compressobj(1, zlib_ng.DEFLATED, -12, 1)  # a small window is soon made
    return len(squeeze.compress(sample)) + len(squeeze.flush()) < 0.95 * len(sample)
