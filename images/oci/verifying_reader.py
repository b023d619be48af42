"""A reader that checks size and digest of a stream before it reports the end."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import BinaryIO

from ...core.errors import RegistryError

CHUNK = 1 << 20


def sha256(data: bytes) -> str:
    """The digest of `data`, as OCI writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class VerifyingReader(io.RawIOBase):
    """Reads a stream, and raises instead of reporting its end if size or digest are wrong.

    Args:
        stream: The stream to read; closed with this reader.
        digest: The expected digest; None if the receiver checks it.
        size: The expected number of bytes; None if only the digest is known.
        where: The origin of the stream, for messages.
        on_damage: Called before the error is raised.

    Raises:
        RegistryError: On the read at the end of the stream.
    """

    def __init__(
        self,
        stream: BinaryIO,
        digest: str | None,
        size: int | None,
        where: object,
        on_damage: Callable[[], object] | None = None,
    ) -> None:
        super().__init__()
        self._on_damage = on_damage
        self._stream = stream
        self._digest = digest
        self._size = size
        self._where = where
        self._hash = hashlib.sha256() if digest else None
        self._read = 0

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Reads up to `size` bytes, as many as the stream gives at once; without a size, all that is left."""
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
        """Reads into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Closes the stream."""
        if not self.closed:
            self._stream.close()
        super().close()

    def _check(self) -> None:
        got = f"sha256:{self._hash.hexdigest()}" if self._hash else None
        if got == self._digest and self._size in (None, self._read):
            return
        if self._on_damage:
            self._on_damage()
        raise RegistryError(
            f"a blob is damaged: wanted {_description(self._digest, self._size)}, got {_description(got, self._read)}",
            where=self._where,
            next_step="Run again, which replaces it"
            if self._on_damage
            else "Run again; if it stays, remove the blob there",
        )


def _description(digest: str | None, size: int | None) -> str:
    return " of ".join(filter(None, [digest, None if size is None else f"{size} bytes"]))
