"""Checking bytes while they pass: size and digest, before anybody sees the end of them."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from ..core.errors import RegistryError

CHUNK = 1 << 20


def sha256(data: bytes) -> str:
    """The digest of `data`, as OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class VerifyingReader(io.RawIOBase):
    """A stream that ends only if it held what was promised.

    Args:
        stream: What is read; closed with this.
        digest: What its bytes must hash to.
        size: How many bytes it must have; None where only the digest is known.
        where: The place, for the message.

    Raises:
        RegistryError: On the read that would have returned the end.
    """

    def __init__(self, stream: BinaryIO, digest: str, size: int | None, where: object) -> None:
        super().__init__()
        self._stream = stream
        self._digest = digest
        self._size = size
        self._where = where
        self._hash = hashlib.sha256()
        self._read = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed's Buffer is only for 3.12
        """Reads as much as the stream gives at once."""
        data = self._stream.read(len(buffer))
        if not data:
            if len(buffer):
                self._check()
            return 0
        self._hash.update(data)
        self._read += len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Closes what is read."""
        if not self.closed:
            self._stream.close()
        super().close()

    def _check(self) -> None:
        got = f"sha256:{self._hash.hexdigest()}"
        if got == self._digest and self._size in (None, self._read):
            return
        want = f"{self._digest}" + ("" if self._size is None else f" of {self._size} bytes")
        raise RegistryError(
            f"a blob is damaged: wanted {want}, got {got} of {self._read} bytes",
            where=self._where,
            next_step="Run again; if it stays, remove the blob there",
        )
