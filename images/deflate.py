"""Compresses what goes into layers, as raw deflate streams (RFC 1951).

The bytes decide an image's digest: so what makes them is pinned, named here, and part of every key under which layers
are remembered. zlib-ng makes the same bytes on every processor. isal, which inflates here, deflates in half the time,
which is 1 to 3 % of a cold build, but makes other bytes on arm64 than on x86-64.
"""

from __future__ import annotations

from collections.abc import Callable

from zlib_ng import zlib_ng

COMPRESSION = "zlib-ng 1.1.0"
"""What compresses."""

Deflate = Callable[[bytes | memoryview], bytes]

crc32 = zlib_ng.crc32
"""CRC-32 of bytes, many at a time."""

_RAW = -15  # neither zlib's header nor gzip's, a window of 32 KB


def fast(data: bytes | memoryview) -> bytes:
    """For what a person waits for."""
    return zlib_ng.compress(data, 1, _RAW)


def small(data: bytes | memoryview) -> bytes:
    """For what is made rarely, then sent and kept."""
    return zlib_ng.compress(data, 6, _RAW)
