"""Compresses what goes into layers, as raw deflate streams (RFC 1951).

The bytes decide an image's digest: so each version is pinned, named here, and part of every key under which layers are
remembered.
"""

from __future__ import annotations

from collections.abc import Callable

from zlib_ng import zlib_ng

try:
    from isal import isal_zlib
except ImportError:  # pragma: no cover - only where isal has no wheel
    isal_zlib = None

PORTABLE = "zlib-ng 1.1.0"
"""What `portable` and `small` are made by."""

FAST = "isal 1.9.1"
"""What `fast` is made by; the name is the same where isal is missing, for what others made is as good."""

Deflate = Callable[[bytes | memoryview], bytes]

crc32 = zlib_ng.crc32
"""CRC-32 of bytes, many at a time."""

_RAW = -15  # neither zlib's header nor gzip's, a window of 32 KB


def portable(data: bytes | memoryview) -> bytes:
    """Quick, and the same bytes on every processor."""
    return zlib_ng.compress(data, 1, _RAW)


def small(data: bytes | memoryview) -> bytes:
    """For what is made rarely, then sent and kept; the same bytes on every processor."""
    return zlib_ng.compress(data, 6, _RAW)


def fast(data: bytes | memoryview) -> bytes:
    """Half as long as `portable` takes, and smaller. The same bytes on any x86-64 with SSE4.2, others on arm64."""
    if isal_zlib is None:
        return portable(data)
    return isal_zlib.compress(data, 1, _RAW)
