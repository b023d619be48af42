"""Checking bytes while they pass: size and digest, before anybody sees the end of them."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from ...core.errors import RegistryError

CHUNK = 1 << 20


def sha256(data: bytes) -> str:
    """The digest of `data`, as OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class VerifyingReader(io.RawIOBase):
    """A stream that ends only if it held what was promised.

    Args:
        stream: What is read; closed with this.
        digest: What its bytes must hash to; None leaves that to who receives them.
        size: How many bytes it must have; None where only the digest is known.
        where: The place, for the message.

    Raises:
        RegistryError: On the read that would have returned the end.
    """

    def __init__(self, stream: BinaryIO, digest: str | None, size: int | None, where: object) -> None:
        super().__init__()
        self._stream = stream
        self._digest = digest
        self._size = size
        self._where = where
        self._hash = hashlib.sha256() if digest else None
        self._read = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, as much as the stream gives at once; all that is left without a size."""
        if size < 0:
            return self.readall()
        data = self._stream.read(size)
        if data:
            self._read += len(data)
            if self._hash:
                self._hash.update(data)
        elif size:
            self._check()
        return data

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed's Buffer is only for 3.12
        """As `read`, into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Closes what is read."""
        if not self.closed:
            self._stream.close()
        super().close()

    def _check(self) -> None:
        got = f"sha256:{self._hash.hexdigest()}" if self._hash else None
        if got == self._digest and self._size in (None, self._read):
            return
        raise RegistryError(
            f"a blob is damaged: wanted {_told(self._digest, self._size)}, got {_told(got, self._read)}",
            where=self._where,
            next_step="Run again; if it stays, remove the blob there",
        )


def _told(digest: str | None, size: int | None) -> str:
    return " of ".join(filter(None, [digest, None if size is None else f"{size} bytes"]))
