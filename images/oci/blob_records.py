"""Which blobs of a layout were checked, and how their files looked then."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from ...core.errors import StorageError
from ...core.integrity.file_signature import signature
from ...core.integrity.sealed_json import read_sealed, set_aside, write_sealed

_SMALL = 256 * 1024
"""Bytes of a blob that is hashed each time: that takes as long as looking it up."""
_MOST = 20_000


class BlobRecords:
    """The records of one layout; safe to share between threads. A lost record only costs time.

    Args:
        path: The file that keeps them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[int]] | None = None
        self._changed = False
        self._lock = threading.Lock()

    def is_intact(self, path: Path, digest: str) -> bool:
        """Whether a blob exists and has its digest; a damaged one is moved aside."""
        try:
            found = signature(path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return False
        if found[0] > _SMALL and self._records().get(digest) == found:
            return True
        if not _has_digest(path, digest):
            set_aside(path)
            return False
        self.add(path, digest)
        return True

    def add(self, path: Path, digest: str) -> None:
        """Records a blob that was written or checked just now."""
        try:
            found = signature(path.stat())
        except OSError:
            return
        if found[0] > _SMALL:
            with self._lock:
                known = self._load()
                self._changed = self._changed or known.get(digest) != found
                known[digest] = found

    def save(self) -> None:
        """Writes the records if they have changed."""
        with self._lock:
            if not self._changed:
                return
            known = {**self._read(), **self._load()}
            self._changed = False
        try:
            write_sealed(self._path, {"blobs": dict(list(known.items())[-_MOST:])})
        except (OSError, StorageError):
            return  # the next run hashes again

    def _records(self) -> dict[str, list[int]]:
        with self._lock:
            return self._load()

    def _load(self) -> dict[str, list[int]]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, list[int]]:
        found = read_sealed(self._path)
        blobs = found.get("blobs") if found else None
        return blobs if isinstance(blobs, dict) else {}


def _has_digest(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return digest == f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:
        return False
