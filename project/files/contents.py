"""Content of a project's files: one digest of all of them, and the secrets in each; reads only changed files."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from ...core.errors import ProjectError
from ..secrets import containers
from ..secrets.batch_scan import SecretBatches
from ..secrets.finding import Finding
from ..secrets.scan import SecretScan, is_binary
from . import contents_cache, lfs_pointer
from .contents_cache import Entry, Known
from .project_file import ProjectFile

_SETTLED_NS = 2_000_000_000
"""A file changed within the last 2 s can change again under the same time stamp: some file systems count in 2 s."""
_BLOCK = 4 << 20
_LARGEST_ARCHIVE = 64 << 20
"""Bytes of a zip file that is searched: its list of members is at its end, so it is read whole or not at all."""


class Contents(NamedTuple):
    """What a project's files hold.

    Attributes:
        tree: sha256 of all paths, executable bits and contents, hexadecimal; the order of the files plays no part.
        findings: What looks like a secret, by path.
        lfs_pointers: Paths of the files that are Git LFS pointers.
    """

    tree: str
    findings: dict[str, list[Finding]]
    lfs_pointers: tuple[str, ...] = ()


def read_contents(
    files: Sequence[ProjectFile],
    root: Path,
    *,
    cache: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Contents:
    """Hashes and scans `files`; with a cache only the files whose signature changed, as git does with its index.

    Args:
        files: Returned by `list_files`.
        root: The project's folder; every project has its own cache file.
        cache: Folder that keeps the results for unchanged files; None reads every file.
        clock: Nanoseconds since 1970.

    Raises:
        ProjectError: A file is gone or can't be read.
        StorageError: The disk that holds the cache is full.
    """
    store = None if cache is None else contents_cache.store_of(root, cache)
    known = contents_cache.load(store)
    listed = [file.signature for file in files]
    state = contents_cache.state_of(files, listed)
    if known.state == state:
        return _contents(known.tree, known.found)
    settled = clock() - _SETTLED_NS
    entries, found = _read_all(files, known)
    tree = _tree(files, [entry[4] for entry in entries])
    kept = {
        file.path: entry
        for file, entry in zip(files, entries, strict=True)
        if entry[0] < settled and entry[1] < settled
    }
    if store is not None:
        # The state is valid only if the files are still as they were listed.
        state = state if len(kept) == len(files) and [entry[:4] for entry in entries] == listed else ""
        if state or kept != known.entries:
            contents_cache.save(store, state, tree, found, kept)
    return _contents(tree, found)


def _contents(tree: str, found: dict[str, list[Finding]]) -> Contents:
    """The findings, with those that mark Git LFS pointers apart from secrets."""
    pointers = {path for path, findings in found.items() if any(item.kind == lfs_pointer.KIND for item in findings)}
    if pointers:
        found = {path: findings for path, findings in found.items() if path not in pointers}
    return Contents(tree, found, tuple(sorted(pointers)))


def _read_all(files: Sequence[ProjectFile], known: Known) -> tuple[list[Entry], dict[str, list[Finding]]]:
    """The entry of each file, and the findings by path; reads the files that are not known."""
    kept = known.entries
    entries: list[Entry] = []
    found: dict[str, list[Finding]] = {}
    with SecretBatches() as batches:
        for file in files:
            entry = kept.get(file.path)
            if entry is None or entry[:4] != file.signature:
                # One thread reads: a second one costs more through the interpreter's lock than both cores bring.
                entry, findings = _read(file, known, batches)
                if findings:
                    found[file.path] = findings
            elif file.path in known.found:
                found[file.path] = known.found[file.path]
            entries.append(entry)
        found |= batches.finish()
    return entries, {path: found[path] for path in sorted(found)}


def _tree(files: Sequence[ProjectFile], digests: Iterable[str]) -> str:
    lines = sorted((file.path, file.executable, digest) for file, digest in zip(files, digests, strict=True))
    return hashlib.sha256(orjson.dumps(lines)).hexdigest()


def _read(file: ProjectFile, known: Known, batches: SecretBatches) -> tuple[Entry, list[Finding]]:
    """Reads a file once, and its signature before that, so that a change meanwhile shows in the next signature.

    A small text that is not known yet is added to `batches`, and its findings are returned there.
    """
    try:
        opened = os.open(file.location, os.O_RDONLY)
        try:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode):
                raise ProjectError(f"{file.path} is no longer a file", where=file.location)
            digest, findings = _digest(opened, file.path, status.st_size, known, batches)
        finally:
            os.close(opened)
    except OSError as error:
        raise ProjectError(
            f"can't read {file.path}: {error.strerror}",
            where=file.location,
            next_step="Make it readable, or add it to exclude under [tool.vertex-training]",
        ) from error
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size, digest), findings


def _digest(opened: int, path: str, size: int, known: Known, batches: SecretBatches) -> tuple[str, list[Finding]]:
    from blake3 import blake3

    block = os.read(opened, min(size, _BLOCK) + 1)
    if len(block) <= _BLOCK:
        digest = blake3(block).hexdigest()
        if lfs_pointer.is_pointer(block):
            return digest, [Finding(0, lfs_pointer.KIND, "")]
        if is_binary(block):
            return digest, _in_binary(block, digest, known, batches)
        findings = known.findings(digest)
        if findings is None:
            batches.add(path, block)
        return digest, findings or []
    scan = SecretScan(batches.search)
    found = _in_archive(opened, batches) if containers.has_texts(block) else []
    hasher = blake3()
    while block:
        hasher.update(block)
        scan.feed(block)
        block = os.read(opened, _BLOCK)
    return hasher.hexdigest(), [*found, *scan.findings]


def _in_binary(content: bytes, digest: str, known: Known, batches: SecretBatches) -> list[Finding]:
    """The secrets in a small binary file: in members of an archive, strings of a pickle, or a key in DER."""
    if containers.is_der_key(content):
        return [Finding(0, "private key", "")]
    if not containers.has_texts(content):
        return []
    found = known.findings(digest)
    return _of_texts(containers.texts(content), batches) if found is None else found


def _in_archive(opened: int, batches: SecretBatches) -> list[Finding]:
    """The same for a large file, or for the beginning of a very large one."""
    size = os.fstat(opened).st_size
    content = os.pread(opened, min(size, _LARGEST_ARCHIVE), 0)
    return _of_texts(containers.texts(content), batches)


def _of_texts(texts: Iterable[bytes], batches: SecretBatches) -> list[Finding]:
    found: dict[Finding, None] = {}
    for text in texts:
        scan = SecretScan(batches.search)
        scan.feed(text, last=True)
        found |= dict.fromkeys(finding._replace(line=0) for finding in scan.findings)  # lines of a member say nothing
    return list(found)
