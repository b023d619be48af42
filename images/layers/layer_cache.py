"""A cache of layers on disk, shared by projects and processes.

    <key>.layer   the compressed bytes
    <key>.json    the layer's record; written last, so that an entry is complete or absent
    locks/<key>   locked while the entry is made: a second process waits, then uses it

An entry is valid while its file has the size, times and inode of the record. Otherwise its digest is computed
again, and a damaged entry is removed. Files that were opened or linked stay usable after their entry is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from ...core.atomic_files import atomic_file
from ...core.errors import storage_errors
from ...core.integrity.file_signature import signature
from ...core.integrity.sealed_json import read_sealed, write_sealed
from .layer_writer import Layer

DEFAULT_LIMIT = 10 * 1024**3
"""Bytes: room for several versions of torch and everything else."""

STALE = 24 * 3600.0
"""Seconds after which an unfinished file belongs to a dead process."""


@dataclass(frozen=True, slots=True)
class CachedLayer:
    """A layer and its file; `made` says whether this call made it."""

    layer: Layer
    path: Path
    made: bool = False


class LayerCache:
    """A folder of layers by key, which `prune` limits to `limit` bytes."""

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self._folder = folder
        self._limit = limit

    def has(self, key: str) -> bool:
        """Whether there seems to be an entry; only `get` checks that it is whole."""
        return (self._folder / f"{key}.json").exists()

    def get(self, key: str) -> CachedLayer | None:
        """The entry; None if it is absent or damaged."""
        record, path = self._folder / f"{key}.json", self._folder / f"{key}.layer"
        try:
            state = read_sealed(record)
            if state is None:  # absent, also while another process makes the entry, or damaged
                return None
            layer, found = Layer(**state["layer"]), signature(path.stat())
            if found[0] != layer.size:
                raise ValueError(f"{found[0]} bytes, not {layer.size}")
            if found != state["signature"]:
                _check_digest(path, layer.digest)
                self._record(record, layer, found)
            os.utime(record)  # `prune` removes entries by the time of their last use
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            self.remove(key)
            return None
        return CachedLayer(layer, path)

    def get_or_make(self, key: str, make: Callable[[BinaryIO], Layer]) -> CachedLayer:
        """The entry; if it is absent, `make` writes its bytes, in one process only.

        Raises:
            StorageError: The disk is full; the cache is unchanged.
        """
        if found := self.get(key):
            return found
        with self._locked(key):
            if found := self.get(key):
                return found
            path = self._folder / f"{key}.layer"
            with atomic_file(path) as file:
                layer = make(file)
            self._record(self._folder / f"{key}.json", layer, signature(path.stat()))
            return CachedLayer(layer, path, made=True)

    def was_linked(self, cached: CachedLayer) -> None:
        """Renews the record of an entry after a link to its file was made, which changes one of the file's times."""
        record = cached.path.with_suffix(".json")
        with contextlib.suppress(FileNotFoundError):
            found, state = signature(cached.path.stat()), read_sealed(record)
            if state is None or found == state["signature"]:
                return
            size, modified, _, inode = state["signature"]
            if [found[0], found[1], found[3]] == [size, modified, inode]:
                self._record(record, cached.layer, found)

    def remove(self, key: str) -> None:
        """Removes an entry, its record first: a record without its layer is removed as damaged."""
        for suffix in ("json", "layer"):
            with contextlib.suppress(FileNotFoundError):
                (self._folder / f"{key}.{suffix}").unlink()

    def prune(self, keep: frozenset[str] = frozenset()) -> None:
        """Removes the entries that were used longest ago until the limit is met, never those in `keep`."""
        remove_old(self._folder, ".*", STALE)
        entries: list[tuple[float, int, str]] = []
        total = 0
        for path in self._folder.glob("*.layer"):
            with contextlib.suppress(FileNotFoundError):
                stat, record = path.stat(), path.with_suffix(".json")
                # A layer without a record was left by a dead process, or is being written at this moment.
                used = record.stat().st_mtime if record.exists() else stat.st_mtime
                entries.append((used, stat.st_size, path.stem))
                total += stat.st_size
        for _, size, key in sorted(entries):
            if total <= self._limit:
                return
            if key not in keep:
                self.remove(key)
                total -= size

    def _record(self, record: Path, layer: Layer, found: list[int]) -> None:
        write_sealed(record, {"layer": asdict(layer), "signature": found})

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        path = self._folder / "locks" / key
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def remove_old(folder: Path, pattern: str, age: float) -> None:
    """Removes the files in `folder` that match `pattern` and weren't touched for `age` seconds."""
    for path in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and time.time() - path.stat().st_mtime > age:
                path.unlink()


def _check_digest(path: Path, digest: str) -> None:
    with path.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != digest:
        raise ValueError(f"{found}, not {digest}")
