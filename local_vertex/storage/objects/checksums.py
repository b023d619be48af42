"""The checksums of Cloud Storage: CRC32C and MD5, both in base64.

https://cloud.google.com/storage/docs/data-validation
"""

from __future__ import annotations

import base64
import hashlib
from typing import BinaryIO

import google_crc32c

_PIECE = 1 << 20
_COPY = 64 << 10  # small enough to stay in the processor's cache


class Checksums:
    """Both checksums of bytes that come in pieces."""

    def __init__(self) -> None:
        self._crc = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, piece: memoryview | bytes) -> None:
        """Adds the next bytes."""
        # The C extension takes `bytes` alone.
        for first in range(0, len(piece), _COPY):
            self._crc = google_crc32c.extend(self._crc, bytes(piece[first : first + _COPY]))
        self._md5.update(piece)

    @property
    def crc32c(self) -> str:
        """CRC32C, big-endian, in base64."""
        return base64.b64encode(self._crc.to_bytes(4, "big")).decode()

    @property
    def md5(self) -> str:
        """MD5, in base64."""
        return base64.b64encode(self._md5.digest()).decode()


def file_crc32c(file: BinaryIO) -> str:
    """The CRC32C of a whole file, from its present position."""
    crc = 0
    while piece := file.read(_PIECE):
        crc = google_crc32c.extend(crc, piece)
    return base64.b64encode(crc.to_bytes(4, "big")).decode()
