"""Decompression with bounded memory, which checks the size and the CRC."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

import zstandard
from zlib_ng import zlib_ng

try:
    from isal import isal_zlib as _fast  # 3x zlib; not built for every processor
except ImportError:  # pragma: no cover - only where isal has no wheel
    _fast = zlib_ng

_ERROR = cast("type[Exception]", _fast.error)  # isal's stubs call it an instance
_BLOCK = 256 * 1024  # compressed bytes read at a time
_STEP = 1024 * 1024  # bytes inflated at a time: a kilobyte can inflate to a megabyte


_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = b"\x2a\x4d\x18"
"""After 0x50 to 0x5f, the start of a frame that zstd skips (RFC 8878, 3.1.2); pzstd begins its files with one."""
_MOST_RATIO = 200
"""Inflated bytes for each compressed byte; the text of a layer reaches about 30."""
_ALWAYS_ALLOWED = 1 << 30
"""Inflated bytes below which the ratio isn't looked at: an empty disk image compresses a thousandfold."""


class CorruptData(Exception):
    """Compressed data that is damaged, or doesn't have the announced size or CRC."""


class _Stream(Protocol):
    eof: bool
    unused_data: bytes
    unconsumed_tail: bytes

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


class Inflater:
    """Inflates one raw deflate stream that must hold exactly `size` bytes with the CRC-32 `crc`."""

    def __init__(self, size: int, crc: int) -> None:
        self._stream: _Stream = _fast.decompressobj(-15)
        self._size = size
        self._crc = crc
        self._seen = 0
        self._seen_crc = 0

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Yields the bytes that `block` inflates to."""
        stream = self._stream
        if block and stream.eof:
            raise CorruptData("bytes after the end of the compressed data")
        more = True
        while more and not stream.eof:
            try:
                data = stream.decompress(block, _STEP)
            except _ERROR as error:
                raise CorruptData(str(error)) from error
            block = stream.unconsumed_tail
            more = bool(block) or len(data) == _STEP
            if data:
                yield self._checked(data)
        if stream.unused_data:
            raise CorruptData("bytes after the end of the compressed data")

    def finish(self) -> Iterator[bytes]:
        """Yields the last bytes; checks size and CRC."""
        if not self._stream.eof:
            yield from self.feed(b"")
        if not self._stream.eof:
            raise CorruptData("the compressed data ends early")
        if self._seen != self._size:
            raise CorruptData(f"{self._seen} bytes where {self._size} were announced")
        if self._seen_crc != self._crc:
            raise CorruptData(f"CRC {self._seen_crc:08x} where {self._crc:08x} was announced")

    def _checked(self, data: bytes) -> bytes:
        self._seen += len(data)
        if self._seen > self._size:
            raise CorruptData(f"more than the {self._size} bytes announced")
        self._seen_crc = zlib_ng.crc32(data, self._seen_crc)
        return data


def decompressed(stream: BinaryIO) -> BinaryIO:
    """The bytes of a stream that is compressed with gzip or zstd, or not at all; its first bytes say which.

    A layer's media type may be wrong, and its compression is not known from a registry's answer.

    Raises:
        CorruptData: On a read: the data is damaged, ends early, or inflates beyond what any real layer does.
    """
    head = _Peeked(stream)
    start = head.peek(4)
    if start.startswith(_GZIP):
        return cast("BinaryIO", io.BufferedReader(_Gunzip(cast("BinaryIO", head), head), _STEP))
    if start.startswith(_ZSTD) or (start[1:4] == _ZSTD_SKIPPED and start[0] & 0xF0 == 0x50):
        unpacked = zstandard.ZstdDecompressor().stream_reader(
            cast("BinaryIO", head), read_size=_BLOCK, read_across_frames=True
        )
        return _Bounded(cast("BinaryIO", unpacked), head).buffered()
    return cast("BinaryIO", io.BufferedReader(head, _STEP))


class _Peeked(io.RawIOBase):
    """A stream whose first bytes can be looked at; counts what was read."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._source = source
        self._start = b""
        self.count = 0

    def peek(self, size: int) -> bytes:
        while len(self._start) < size and (data := self._source.read(size - len(self._start))):
            self._start += data
        return self._start

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data, self._start = (self._start, b"") if self._start else (self._source.read(size), b"")
        self.count += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed's Buffer is only for 3.12
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Bounded(io.RawIOBase):
    """Ends a stream that inflates to far more than its compressed bytes."""

    def __init__(self, stream: BinaryIO, compressed: _Peeked) -> None:
        super().__init__()
        self._stream = stream
        self._compressed = compressed
        self._seen = 0

    def buffered(self) -> BinaryIO:
        return cast("BinaryIO", io.BufferedReader(self, _STEP))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - as above
        try:
            count = self._stream.readinto(buffer)  # pyright: ignore[reportAttributeAccessIssue] - both streams have it
        except zstandard.ZstdError as error:
            raise CorruptData(str(error)) from error
        self._seen += count
        _check_ratio(self._seen, self._compressed.count)
        return count


def _check_ratio(inflated: int, compressed: int) -> None:
    if inflated > max(_ALWAYS_ALLOWED, _MOST_RATIO * compressed):
        raise CorruptData(f"{compressed:,} bytes inflate to more than {inflated:,}")


def gunzip(stream: BinaryIO) -> BinaryIO:
    """A stream of the uncompressed bytes of a gzip stream with any number of members.

    Raises:
        CorruptData: On a read: the data isn't gzip, or ends early.
    """
    return cast("BinaryIO", io.BufferedReader(_Gunzip(stream), _STEP))


class _Gunzip(io.RawIOBase):
    def __init__(self, stream: BinaryIO, counted: _Peeked | None = None) -> None:
        super().__init__()
        self._source = stream
        self._counted = counted
        self._seen = 0
        self._stream: _Stream = _fast.decompressobj(31)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed's Buffer is only for 3.12
        while True:
            if self._stream.eof:
                self._rest = self._stream.unused_data or self._source.read(_BLOCK)
                if not self._rest.strip(b"\0"):  # padding, or the end
                    return 0
                self._stream = _fast.decompressobj(31)
            block = self._rest or self._source.read(_BLOCK)
            try:
                data = self._stream.decompress(block, len(buffer))
            except _ERROR as error:
                raise CorruptData(str(error)) from error
            self._rest = self._stream.unconsumed_tail
            if data:
                buffer[: len(data)] = data
                self._seen += len(data)
                if self._counted:
                    _check_ratio(self._seen, self._counted.count)
                return len(data)
            if not block and not self._stream.eof:
                raise CorruptData("the compressed data ends early")
