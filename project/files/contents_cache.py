"""Cache of the digests and findings of a project's files; a damaged or foreign cache file only costs time."""

from __future__ import annotations

import hashlib
import marshal
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import orjson

from ...core.atomic_files import write_atomic
from ..secrets.finding import Finding
from ..secrets.rules import VERSION
from .project_file import ProjectFile, Signature

_FORMAT = f"vertex-training contents 3 {VERSION}"
_PROJECTS_KEPT = 64

_NO_COLUMNS = b"[[],[],[],[],[],[]]"

Entry = tuple[int, int, int, int, str]
"""A file's signature and the digest of its content."""


class Known:
    """What an earlier run learnt about one project.

    Attributes:
        state: `state_of` the list of files for which `tree` and `found` hold; empty if one of those files may have
            changed since then without a visible sign.
        tree: Digest of that list with all contents.
        found: What looks like a secret, by path.
    """

    def __init__(self, state: str, tree: str, found: dict[str, list[Finding]], columns: bytes) -> None:
        self.state = state
        self.tree = tree
        self.found = found
        self._columns = columns

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The entry of each path; parsed on first use."""
        paths, *rest = orjson.loads(self._columns)
        return dict(zip(paths, zip(*rest, strict=True), strict=True))

    def findings(self, digest: str) -> list[Finding] | None:
        """The findings in content with this digest, under whatever path; None if it was not scanned."""
        return self._by_digest.get(digest)

    @cached_property
    def _by_digest(self) -> dict[str, list[Finding]]:
        return {entry[4]: self.found.get(path, []) for path, entry in self.entries.items()}


def state_of(files: Sequence[ProjectFile], signatures: Sequence[Signature | None]) -> str:
    """One hash of all paths, executable bits and signatures: while it stays the same, so do all contents."""
    from blake3 import blake3

    columns = [[file.path for file in files], [file.executable for file in files], list(signatures)]
    return blake3(marshal.dumps(columns, 2)).hexdigest()  # format 2 always writes equal values alike


def store_of(root: Path, cache: Path) -> Path:
    """The cache file of the project in `root`."""
    return cache / "contents" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.json"


def _nothing() -> Known:
    return Known("", "", {}, _NO_COLUMNS)


def load(store: Path | None) -> Known:
    """Reads a cache file; a missing or damaged one, or one of another version, is empty."""
    if store is None:
        return _nothing()
    try:
        checksum, _, body = store.read_bytes().partition(b"\n")
    except OSError:
        return _nothing()
    if checksum.decode("ascii", "replace") != _checksum(body):
        return _nothing()
    head, _, columns = body.partition(b"\n")
    state, tree, found = orjson.loads(head)
    return Known(state, tree, {path: [Finding(*item) for item in items] for path, items in found.items()}, columns)


def save(store: Path, state: str, tree: str, found: Mapping[str, list[Finding]], entries: Mapping[str, Entry]) -> None:
    """Writes a cache file, in columns because they are read twice as fast as rows; deletes the oldest other ones."""
    columns = [list(entries), *zip(*entries.values(), strict=True)] if entries else [[]] * 6
    plain = {path: [tuple(finding) for finding in findings] for path, findings in found.items()}
    body = orjson.dumps([state, tree, plain]) + b"\n" + orjson.dumps(columns)
    write_atomic(store, _checksum(body).encode() + b"\n" + body)
    stores = sorted(store.parent.glob("*.json"), key=_modified, reverse=True)
    for old in stores[_PROJECTS_KEPT:]:
        old.unlink(missing_ok=True)


def _checksum(body: bytes) -> str:
    from blake3 import blake3

    return blake3(_FORMAT.encode() + body).hexdigest()


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
