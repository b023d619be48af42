"""What a project's files hold: a hash of each, and the secrets in it; read only where something may have changed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from io import RawIOBase
from pathlib import Path

from ..core.errors import ProjectError
from ..core.files import write_atomic
from .files import ProjectFile
from .secret_rules import VERSION
from .secret_scan import Finding, SecretScan

_FORMAT = f"vertex-training contents 1 {VERSION}"
_SETTLED_NS = 2_000_000_000
"""A file touched within 2 s may change again under the same time stamp: some file systems count in 2 s."""
_PROJECTS_KEPT = 64
_BLOCK = 4 << 20

Entry = tuple[int, int, int, int, str]
"""A signature and the content's digest."""


class Contents:
    """The contents of a project's files.

    Attributes:
        digests: BLAKE3 of each file, hexadecimal, in the files' order.
        findings: What looks like a secret, by path.
    """

    __slots__ = ("digests", "findings")

    def __init__(self) -> None:
        self.digests: list[str] = []
        self.findings: dict[str, list[Finding]] = {}


def read_contents(
    files: Sequence[ProjectFile],
    root: Path,
    *,
    cache: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Contents:
    """Hashes and scans `files`; with a cache only those that stat shows as changed, as git's index does.

    Args:
        files: As `list_files` returned them.
        root: The project's folder; each has its own file in the cache.
        cache: Folder for what is known of unchanged files; None reads everything.
        clock: Nanoseconds since 1970.

    Raises:
        ProjectError: A file that vanished or can't be read.
        StorageError: The cache's disk is full.
    """
    store = None if cache is None else cache / "contents" / f"{_name(root)}.json"
    known = _load(store)
    fresh = _Known()
    settled = clock() - _SETTLED_NS
    contents = Contents()
    for file in files:
        path = file.path
        entry = known.entries.get(path)
        if entry is None or entry[:4] != file.signature:
            entry, findings = _read(file, known)
        else:
            findings = known.findings.get(entry[4]) if known.findings else None
        contents.digests.append(entry[4])
        if findings:
            contents.findings[path] = fresh.findings[entry[4]] = findings
        if entry[0] < settled and entry[1] < settled:
            fresh.entries[path] = entry
    if store is not None and (fresh.entries, fresh.findings) != (known.entries, known.findings):
        _save(store, fresh)
    return contents


class _Known:
    """What is remembered: each path's entry, and what looked like a secret, by digest."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.findings: dict[str, list[Finding]] = {}
        self._scanned: set[str] | None = None

    def has_scanned(self, digest: str) -> bool:
        """Whether this content was scanned, under whatever name."""
        if self._scanned is None:
            self._scanned = {entry[4] for entry in self.entries.values()}
        return digest in self._scanned


def _read(file: ProjectFile, known: _Known) -> tuple[Entry, list[Finding]]:
    """Reads a file once; its signature is taken before, so that a change meanwhile shows in the next one."""
    try:
        with open(file.location, "rb", buffering=0) as opened:  # noqa: PTH123 - `Path` costs as much as the call
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ProjectError(f"{file.path} is no longer a file", where=file.location)
            digest, findings = _digest(opened, status.st_size, known)
    except OSError as error:
        raise ProjectError(
            f"can't read {file.path}: {error.strerror}",
            where=file.location,
            next_step="Make it readable, or add it to exclude under [tool.vertex-training]",
        ) from error
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size, digest), findings


def _digest(opened: RawIOBase, size: int, known: _Known) -> tuple[str, list[Finding]]:
    from blake3 import blake3

    scan = SecretScan()
    block = opened.read(min(size, _BLOCK) + 1) or b""
    if len(block) <= _BLOCK:
        digest = blake3(block).hexdigest()
        if known.has_scanned(digest):
            return digest, known.findings.get(digest, [])
        scan.feed(block)
        return digest, scan.findings
    hasher = blake3()
    while block:
        hasher.update(block)
        scan.feed(block)
        block = opened.read(_BLOCK) or b""
    return hasher.hexdigest(), scan.findings


def _name(root: Path) -> str:
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:32]


def _load(store: Path | None) -> _Known:
    """What the last run knew; whatever is wrong with the file only costs time."""
    known = _Known()
    if store is None:
        return known
    try:
        checksum, _, body = store.read_bytes().partition(b"\n")
    except OSError:
        return known
    if checksum.decode("ascii", "replace") != _checksum(body):
        return known  # damaged, or of another version
    columns, findings = json.loads(body)
    known.entries = dict(zip(columns[0], zip(*columns[1:], strict=True), strict=True))
    known.findings = {digest: [Finding(*item) for item in found] for digest, found in findings.items()}
    return known


def _save(store: Path, known: _Known) -> None:
    """Keeps it for this project and the ones seen last; as columns, which JSON reads twice as fast as rows."""
    columns = [list(known.entries), *zip(*known.entries.values(), strict=True)] if known.entries else [[]] * 6
    body = json.dumps([columns, known.findings], separators=(",", ":")).encode()
    write_atomic(store, _checksum(body).encode() + b"\n" + body)
    stores = sorted(store.parent.glob("*.json"), key=_modified, reverse=True)
    for old in stores[_PROJECTS_KEPT:]:
        old.unlink(missing_ok=True)


def _checksum(body: bytes) -> str:
    return hashlib.sha256(_FORMAT.encode() + body).hexdigest()


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
