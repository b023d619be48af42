"""Compression of layers, as raw deflate streams (RFC 1951).

The compressed bytes decide an image's digest. So each library's version is pinned, named here, and part of every cache
key of layers.
"""

from __future__ import annotations

from collections.abc import Callable

from zlib_ng import zlib_ng

try:
    from isal import isal_zlib
except ImportError:  # pragma: no cover - only where isal has no wheel
    isal_zlib = None

PORTABLE = "zlib-ng 1.1.0"
"""The library behind `portable` and `small`."""

FAST = "isal 1.9.1"
"""The library behind `fast`; named also where isal is missing, because layers of other machines can be used there."""

Deflate = Callable[[bytes | memoryview], bytes]

crc32 = zlib_ng.crc32
"""CRC-32 of bytes, many at a time."""

_RAW = -15  # zlib's parameter for no header and a window of 32 KB


def portable(data: bytes | memoryview) -> bytes:
    """Compresses quickly, with the same bytes on every processor."""
    return zlib_ng.compress(data, 1, _RAW)


def small(data: bytes | memoryview) -> bytes:
    """Compresses well, for layers that are made rarely; the same bytes on every processor."""
    return zlib_ng.compress(data, 6, _RAW)


def fast(data: bytes | memoryview) -> bytes:
    """Compresses better than `portable` in half the time; the same bytes on any x86-64 with SSE4.2, others on arm64."""
    if isal_zlib is None:
        return portable(data)
    return isal_zlib.compress(data, 1, _RAW)
