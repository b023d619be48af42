"""Layers kept on disk between builds, shared by projects and processes.

    <key>.layer   the compressed bytes
    <key>.json    what they are; written last, so that an entry is whole or absent
    locks/<key>   held while the entry is made: a second process waits and finds it done

An entry is trusted while its size and modification time are those of its record; else its digest is computed again,
and what isn't right is removed and made anew. Whoever has opened or linked a file keeps it when its entry goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from ...core.errors import storage_errors
from ...core.files import atomic_file, write_atomic
from .layer_writer import Layer

DEFAULT_LIMIT = 10 * 1024**3
"""Bytes; a handful of torch versions beside everything else."""

STALE = 24 * 3600.0
"""Seconds after which an unfinished file belongs to a dead process."""


@dataclass(frozen=True, slots=True)
class CachedLayer:
    """A layer and the file that holds it; `made` tells whether this call made it."""

    layer: Layer
    path: Path
    made: bool = False


class LayerCache:
    """A folder of layers by key, at most `limit` bytes after `prune`."""

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self._folder = folder
        self._limit = limit

    def get(self, key: str) -> CachedLayer | None:
        """The entry, if it is there and whole."""
        record, path = self._folder / f"{key}.json", self._folder / f"{key}.layer"
        try:
            state = json.loads(record.read_bytes())
            layer, modified = Layer(**state["layer"]), state["modified"]
            stat = path.stat()
            if stat.st_size != layer.size:
                raise ValueError(f"{stat.st_size} bytes, not {layer.size}")
            if stat.st_mtime_ns != modified:
                _check_digest(path, layer.digest)
                self._record(record, layer, stat.st_mtime_ns)
            os.utime(record)  # when it was last used decides what `prune` removes
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            self.remove(key)
            return None
        return CachedLayer(layer, path)

    def get_or_make(self, key: str, make: Callable[[BinaryIO], Layer]) -> CachedLayer:
        """The entry; if it is absent, `make` writes its bytes, once over all processes.

        Raises:
            StorageError: The disk is full; the cache is as it was.
        """
        if found := self.get(key):
            return found
        with self._locked(key):
            if found := self.get(key):
                return found
            path = self._folder / f"{key}.layer"
            with atomic_file(path) as file:
                layer = make(file)
            self._record(self._folder / f"{key}.json", layer, path.stat().st_mtime_ns)
            return CachedLayer(layer, path, made=True)

    def remove(self, key: str) -> None:
        """Forgets an entry; the record goes first, so that no record is without its bytes for long."""
        for suffix in ("json", "layer"):
            with contextlib.suppress(FileNotFoundError):
                (self._folder / f"{key}.{suffix}").unlink()

    def prune(self, keep: frozenset[str] = frozenset()) -> None:
        """Removes what was used longest ago until the rest fits the limit, never the keys in `keep`."""
        remove_old(self._folder, ".*", STALE)
        entries: list[tuple[float, int, str]] = []
        total = 0
        for path in self._folder.glob("*.layer"):
            with contextlib.suppress(FileNotFoundError):
                stat, record = path.stat(), path.with_suffix(".json")
                # One without a record was left by a dead process, or is being written just now.
                used = record.stat().st_mtime if record.exists() else stat.st_mtime
                entries.append((used, stat.st_size, path.stem))
                total += stat.st_size
        for _, size, key in sorted(entries):
            if total <= self._limit:
                return
            if key not in keep:
                self.remove(key)
                total -= size

    def _record(self, record: Path, layer: Layer, modified: int) -> None:
        write_atomic(record, json.dumps({"layer": asdict(layer), "modified": modified}))

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
