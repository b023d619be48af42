"""A project's fingerprint: one hash of everything in it that can change its image."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ..core.errors import ProjectError
from ..core.files import write_atomic
from .files import ProjectFile, Signature
from .settings import Settings

_VERSION = "vertex-training fingerprint 1"
_SETTLED_NS = 2_000_000_000
"""A file touched within 2 s may change again under the same time stamp: some file systems count in 2 s."""
_PROJECTS_KEPT = 64


def fingerprint(
    files: Sequence[ProjectFile],
    settings: Settings,
    extra: Mapping[str, str] | None = None,
    *,
    cache: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> str:
    """Hashes paths, executable bits and contents of `files`, the settings that shape an image, and `extra`.

    The same on any machine: place, times, owner, umask and the order of `files` play no part.

    Args:
        files: As `list_files` returned them.
        settings: The project's.
        extra: More that decides the image: the lock's digest, the base's, the builder's version.
        cache: Folder for hashes of unchanged files; None hashes everything.
        clock: Nanoseconds since 1970.

    Returns:
        sha256, 64 hexadecimal digits.

    Raises:
        ProjectError: A file that vanished or can't be read.
    """
    hashes = _Hashes(settings.root, cache, clock)
    hasher = hashlib.sha256()
    _feed(hasher, (_VERSION, settings.script, settings.python, settings.base or ""))
    _feed(hasher, settings.directories)
    _feed(hasher, (text for item in sorted(settings.env.items()) for text in item))
    _feed(hasher, (text for item in sorted((extra or {}).items()) for text in item))
    lines: list[str] = []
    for file in sorted(files, key=lambda file: file.path):
        lines += (file.path, "755" if file.executable else "644", hashes.content(file))
    _feed(hasher, lines)
    hashes.save()
    return hasher.hexdigest()


def _feed(hasher: hashlib._Hash, texts: Iterable[str]) -> None:
    """Hashes a list so that no other list gives the same bytes: JSON is prefix-free."""
    hasher.update(json.dumps(list(texts), ensure_ascii=True, separators=(",", ":")).encode() + b"\n")


class _Hashes:
    """Content hashes of one project, remembered by stat signature, as git's index does."""

    def __init__(self, root: Path, cache: Path | None, clock: Callable[[], int]) -> None:
        self._clock = clock
        key = hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
        self._store = None if cache is None else cache / "fingerprints" / f"{key}.json"
        self._known = _read(self._store)
        self._now: dict[str, list[object]] = {}

    def content(self, file: ProjectFile) -> str:
        """The sha256 of a file's bytes, read only if its signature is new."""
        known = self._known.get(file.path)
        if known is not None and file.signature is not None and known[:4] == list(file.signature):
            self._now[file.path] = known
            return str(known[4])
        digest, signature = _hash(file)
        if max(signature[0], signature[1]) < self._clock() - _SETTLED_NS:
            self._now[file.path] = [*signature, digest]
        return digest

    def save(self) -> None:
        """Keeps what holds now, for this project and the ones seen last."""
        if self._store is None or self._now == self._known:
            return
        write_atomic(self._store, json.dumps(self._now, separators=(",", ":")))
        stores = sorted(self._store.parent.glob("*.json"), key=_modified, reverse=True)
        for old in stores[_PROJECTS_KEPT:]:
            old.unlink(missing_ok=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(store: Path | None) -> dict[str, list[object]]:
    if store is None:
        return {}
    try:
        value = json.loads(store.read_bytes())
    except (OSError, ValueError):
        return {}  # absent, or of another time: everything is hashed again
    if not isinstance(value, dict):
        return {}
    return {key: entry for key, entry in value.items() if isinstance(entry, list) and len(entry) == 5}


def _hash(file: ProjectFile) -> tuple[str, Signature]:
    """Reads a file once; its signature is taken before, so that a change meanwhile shows in the next one."""
    try:
        with file.source.open("rb", buffering=0) as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ProjectError(f"{file.path} is no longer a file", where=file.source)
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ProjectError(
            f"can't read {file.path}: {error.strerror}",
            where=file.source,
            next_step="Make it readable, or add it to exclude under [tool.vertex-training]",
        ) from error
    return digest, (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
