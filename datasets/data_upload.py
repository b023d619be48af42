"""Uploads what of a data set is not in the bucket, the manifest last: a data set is whole there, or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..core.background.collection import rarely_collected
from ..core.errors import DataError
from .bucket_objects import BucketObjects
from .data_files import DataFile, changed, read_pieces
from .data_index import Known
from .manifest import OBJECTS, PACKS, Manifest, StoredFile, dataset_id, manifest_object, tree_object
from .prepare import SMALL, Prepared, hash_files

PACK_BYTES = 32 << 20
_THREADS = 8
_PACKS_AT_ONCE = 3  # each is in memory
_LIVE = 0.5
"""Share of a pack that must still be used; below it, its files go into new packs."""
_MANY_PACKS = 64
"""Packs below a quarter of `PACK_BYTES` above which their files are packed anew."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A data set in the bucket.

    Attributes:
        dataset: Its ID.
        files: Number of files.
        size: Bytes.
        sent_objects: Objects that were sent.
        sent_bytes: Their bytes.
    """

    dataset: str
    files: int
    size: int
    sent_objects: int
    sent_bytes: int


@rarely_collected()
def upload(prepared: Prepared, bucket: BucketObjects, progress: Progress = lambda _: None) -> Uploaded:
    """Makes sure that the data set is in the bucket.

    Args:
        prepared: The data set, from `prepare`.
        bucket: The job's bucket.
        progress: Called with bytes that were sent.

    Raises:
        DataError: A file can't be read or changes meanwhile, or the bucket can't be written.
    """
    sent = _Sent(bucket, progress)
    with _LargeFiles(prepared, sent) as large:
        facts = hash_files(prepared, large.hashed)
        triples = _triples(prepared, facts)
        dataset = dataset_id(triples)
        name = manifest_object(dataset, prepared.mode)
        if bucket.exists(name):
            large.cancel()
            _adopt(prepared, facts, bucket.read(name) if any(known[4] == -2 for known in facts) else None, name)
        else:
            if prepared.index.dataset and not bucket.exists(manifest_object(prepared.index.dataset, prepared.mode)):
                # Someone pruned the bucket: what the index says is there may be gone.
                prepared.index.forget_bucket()
                for known in facts:
                    known[4] = -2
            kind = _Tree(prepared, facts, dataset, sent) if prepared.mode == "mount" else _Copy(prepared, facts, large)
            sent.put(name, kind.run().encode())
    _remember(prepared, facts, dataset)
    return Uploaded(dataset, len(triples), sum(size for _, size, _ in triples), sent.objects, sent.bytes)


def content_id(prepared: Prepared) -> str:
    """The ID that the data set has by its content; files that changed since the last time are read.

    Raises:
        DataError: A file can't be read, or changes meanwhile.
    """
    return dataset_id(_triples(prepared, hash_files(prepared)))


def _triples(prepared: Prepared, facts: list[Known]) -> list[tuple[str, int, str]]:
    return [(file.path, file.size, known[3]) for file, known in zip(prepared.files, facts, strict=True)]


def _adopt(prepared: Prepared, facts: list[Known], stored: bytes | None, name: str) -> None:
    """Takes from the manifest of another upload of the same files where their bytes lie."""
    if stored is None:
        return
    manifest = Manifest.decode(stored, name)
    prepared.index.packs = manifest.packs
    places = {file.path: file for file in manifest.files}
    for file, known in zip(prepared.files, facts, strict=True):
        known[4], known[5] = places[file.path].pack, places[file.path].offset


def _remember(prepared: Prepared, facts: list[Known], dataset: str) -> None:
    index = prepared.index
    if index.dataset == dataset and all(known is not None for known in prepared.known):
        return
    index.files = {file.path: known for file, known in zip(prepared.files, facts, strict=True)}
    index.dataset = dataset
    index.save()


class _Sent:
    """Sends objects, and counts them."""

    def __init__(self, bucket: BucketObjects, progress: Progress) -> None:
        self.bucket = bucket
        self.objects = 0
        self.bytes = 0
        self._progress = progress

    def put(self, name: str, data: bytes) -> None:
        self._count(self.bucket.put_new(name, data, len(data)), len(data))

    def put_file(self, name: str, file: DataFile) -> None:
        source = _Source(file)
        self._count(self.bucket.put_new(name, source.open, file.size), file.size)

    def _count(self, written: bool, size: int) -> None:
        self._progress(size)
        if written:
            self.objects += 1
            self.bytes += size


class _Source:
    """A file that is sent; what was changed after its SHA-256 was computed must not be sent under that name."""

    def __init__(self, file: DataFile) -> None:
        self._file = file

    def open(self) -> BinaryIO:
        try:
            return _Unchanged(self._file)  # pyright: ignore[reportReturnType]
        except OSError as error:
            raise DataError(f"a file of the data can't be read: {error.strerror}", where=self._file.location) from error


class _Unchanged:
    """An open file that raises at its end if it changed meanwhile, so that the request fails.

    What `read` returns is valid until the next one: a new buffer for each costs as much as reading.
    """

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._position = 0
        self._opened = Path(file.location).open("rb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._buffer = bytearray()

    def read(self, size: int = -1) -> memoryview:
        size = min(size, self._file.size) if size >= 0 else self._file.size
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        whole = memoryview(self._buffer)[:size]
        piece = whole[: self._opened.readinto(whole)]
        self._position += len(piece)
        if not piece or self._position >= self._file.size:
            status = os.fstat(self._opened.fileno())
            if (status.st_size, status.st_mtime_ns) != (self._file.size, self._file.changed):
                raise changed(self._file)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = self._opened.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> _Unchanged:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Pool:
    """Threads that send, with a limit to what waits."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._limit = waiting
        self._running: set[Future[Any]] = set()

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            for each in self._running:
                each.result()

    def send(self, action: Callable[..., None], *args: object) -> None:
        if len(self._running) >= self._limit:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for each in done:
                each.result()
        self._running.add(self._pool.submit(action, *args))


class _LargeFiles:
    """Sends large files by their content; each as soon as its SHA-256 is known, while others are still read."""

    def __init__(self, prepared: Prepared, sent: _Sent) -> None:
        self.sent = sent
        self._ahead = prepared.mode == "copy"
        self._stored = {known[3] for known in prepared.index.files.values() if known[4] != -2}
        self._begun: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(_THREADS)

    def __enter__(self) -> _LargeFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def hashed(self, file: DataFile, known: Known) -> None:
        """Begins to send a file that is surely needed, and that the bucket may not have."""
        if self._ahead and file.size >= SMALL and known[3] not in self._stored:
            self.send(file, known[3])

    def send(self, file: DataFile, sha: str) -> None:
        """Begins to send a file, unless that has begun."""
        if sha not in self._begun:
            self._begun[sha] = self._pool.submit(self.sent.put_file, OBJECTS + sha, file)

    def wait(self) -> None:
        """Waits until all are sent."""
        for each in self._begun.values():
            each.result()

    def cancel(self) -> None:
        """Sends nothing more: the bucket has the data set."""
        self._pool.shutdown(cancel_futures=True)


class _Copy:
    """A data set for the job's disk: packs, and objects by their content."""

    def __init__(self, prepared: Prepared, facts: list[Known], large: _LargeFiles) -> None:
        self._files = prepared.files
        self._facts = facts
        self._index = prepared.index
        self._large = large

    def run(self) -> Manifest:
        """Sends what is new; returns the manifest."""
        self._find_by_content()
        self._unpack_rarely_used()
        for file, known in zip(self._files, self._facts, strict=True):
            if file.size >= SMALL and known[4] == -2:
                self._large.send(file, known[3])
                known[4] = -1
        with _Pool(_PACKS_AT_ONCE, _PACKS_AT_ONCE) as pool:
            for sha, pack in self._new_packs():
                pool.send(self._large.sent.put, PACKS + sha, pack)
        self._large.wait()
        return self._manifest()

    def _find_by_content(self) -> None:
        """What the bucket has under another name, or of a file that was only touched, is not sent again."""
        stored = {known[3]: known for known in self._index.files.values() if known[4] != -2}
        for known in self._facts:
            if known[4] == -2 and (found := stored.get(known[3])):
                known[4], known[5] = found[4], found[5]

    def _unpack_rarely_used(self) -> None:
        """Marks files for new packs whose packs are mostly unused, or small and many."""
        live = [0] * len(self._index.packs)
        seen: set[tuple[int, int]] = set()
        for known in self._facts:
            if known[4] >= 0 and (known[4], known[5]) not in seen:
                seen.add((known[4], known[5]))
                live[known[4]] += known[0]
        packs = self._index.packs
        small = {i for i, (_, size) in enumerate(packs) if live[i] and size < PACK_BYTES // 4}
        again = {i for i, (_, size) in enumerate(packs) if live[i] < size * _LIVE}
        if len(small) > _MANY_PACKS:
            again |= small
        for known in self._facts:
            if known[4] in again:
                known[4] = -2

    def _new_packs(self) -> Iterator[tuple[str, bytes]]:
        pack, members = bytearray(), list[Known]()
        places: dict[str, tuple[int, int]] = {known[3]: (known[4], known[5]) for known in self._facts if known[4] >= 0}
        for file, known in zip(self._files, self._facts, strict=True):
            if known[4] != -2:
                continue
            if known[3] in places:
                known[4], known[5] = places[known[3]]
                continue
            data = bytearray()
            for piece in read_pieces(file):
                data += piece
            if hashlib.sha256(data).hexdigest() != known[3]:
                raise changed(file)
            if pack and len(pack) + len(data) > PACK_BYTES:
                yield self._closed(pack, members)
                pack, members = bytearray(), []
            places[known[3]] = known[4], known[5] = len(self._index.packs), len(pack)
            members.append(known)
            pack += data
        if members:
            yield self._closed(pack, members)

    def _closed(self, pack: bytearray, members: list[Known]) -> tuple[str, bytes]:
        sha = hashlib.sha256(pack).hexdigest()
        assert all(known[4] == len(self._index.packs) for known in members)
        self._index.packs.append((sha, len(pack)))
        return sha, bytes(pack)

    def _manifest(self) -> Manifest:
        """The manifest, with those packs alone that are used; the index gets the same numbers."""
        used = sorted({known[4] for known in self._facts if known[4] >= 0})
        number = {old: new for new, old in enumerate(used)}
        self._index.packs = [self._index.packs[old] for old in used]
        files: list[StoredFile] = []
        for file, known in zip(self._files, self._facts, strict=True):
            known[4] = number.get(known[4], -1)
            files.append(StoredFile(file.path, file.size, known[3], known[4], known[5]))
        return Manifest("copy", list(self._index.packs), files)


class _Tree:
    """A data set that is read through /gcs: its files by name; those that an earlier one has are copied there."""

    def __init__(self, prepared: Prepared, facts: list[Known], dataset: str, sent: _Sent) -> None:
        self._files = prepared.files
        self._facts = facts
        self._dataset = dataset
        self._earlier = prepared.index.dataset
        self._paths = {known[3]: path for path, known in prepared.index.files.items() if known[4] != -2}
        self._sent = sent

    def run(self) -> Manifest:
        """Sends what is new; returns the manifest."""
        with _Pool(_THREADS, 2 * _THREADS) as pool:
            for file, known in zip(self._files, self._facts, strict=True):
                pool.send(self._place, file, known)
        files = [StoredFile(f.path, f.size, known[3]) for f, known in zip(self._files, self._facts, strict=True)]
        return Manifest("mount", [], files)

    def _place(self, file: DataFile, known: Known) -> None:
        target = tree_object(self._dataset, file.path)
        earlier = self._paths.get(known[3])
        is_there = (
            earlier is not None
            and self._earlier != ""
            and self._sent.bucket.copy(tree_object(self._earlier, earlier), target)
        )
        if not is_there:
            self._sent.put_file(target, file)
        known[4] = -1
