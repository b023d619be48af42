"""How a data set lies in the bucket: small files in packs and large ones by content, or all files by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from .data_files import DataFile, changed, read_pieces
from .data_index import NOT_IN_BUCKET, OFFSET, OWN_OBJECT, PACK, SHA256, SIZE, Known
from .manifest import PACKS, Manifest, StoredFile, tree_object
from .prepare import SMALL, Prepared
from .sending import THREADS, LargeFiles, Pool, Sent

PACK_BYTES = 32 << 20
_PACKS_AT_ONCE = 3  # each is in memory
_LIVE = 0.5
"""Share of a pack that must still be used; below it, its files go into new packs."""
_MANY_PACKS = 64
"""Packs below a quarter of `PACK_BYTES` above which their files are packed anew."""


class CopyUpload:
    """A data set for the job's disk: packs, and objects by their content."""

    def __init__(self, prepared: Prepared, facts: list[Known], large: LargeFiles) -> None:
        self._files = prepared.files
        self._facts = facts
        self._index = prepared.index
        self._large = large

    def run(self) -> Manifest:
        """Sends what is new; returns the manifest."""
        self._find_by_content()
        self._unpack_rarely_used()
        for file, known in zip(self._files, self._facts, strict=True):
            if file.size >= SMALL and known[PACK] == NOT_IN_BUCKET:
                self._large.send(file, known[SHA256])
                known[PACK] = OWN_OBJECT
        with Pool(_PACKS_AT_ONCE, _PACKS_AT_ONCE) as pool:
            for sha, pack in self._new_packs():
                pool.send(self._large.sent.put, PACKS + sha, pack)
        self._large.wait()
        return self._manifest()

    def _find_by_content(self) -> None:
        """What the bucket has under another name, or of a file that was only touched, is not sent again."""
        stored = {known[SHA256]: known for known in self._index.files.values() if known[PACK] != NOT_IN_BUCKET}
        for known in self._facts:
            if known[PACK] == NOT_IN_BUCKET and (found := stored.get(known[SHA256])):
                known[PACK], known[OFFSET] = found[PACK], found[OFFSET]

    def _unpack_rarely_used(self) -> None:
        """Marks files for new packs whose packs are mostly unused, or small and many."""
        live = [0] * len(self._index.packs)
        seen: set[tuple[int, int]] = set()
        for known in self._facts:
            if known[PACK] >= 0 and (known[PACK], known[OFFSET]) not in seen:
                seen.add((known[PACK], known[OFFSET]))
                live[known[PACK]] += known[SIZE]
        packs = self._index.packs
        small = {i for i, (_, size) in enumerate(packs) if live[i] and size < PACK_BYTES // 4}
        again = {i for i, (_, size) in enumerate(packs) if live[i] < size * _LIVE}
        if len(small) > _MANY_PACKS:
            again |= small
        for known in self._facts:
            if known[PACK] in again:
                known[PACK] = NOT_IN_BUCKET

    def _new_packs(self) -> Iterator[tuple[str, bytes]]:
        pack, members = bytearray(), list[Known]()
        places: dict[str, tuple[int, int]] = {
            known[SHA256]: (known[PACK], known[OFFSET]) for known in self._facts if known[PACK] >= 0
        }
        for file, known in zip(self._files, self._facts, strict=True):
            if known[PACK] != NOT_IN_BUCKET:
                continue
            if known[SHA256] in places:
                known[PACK], known[OFFSET] = places[known[SHA256]]
                continue
            data = bytearray()
            for piece in read_pieces(file):
                data += piece
            if hashlib.sha256(data).hexdigest() != known[SHA256]:
                raise changed(file)
            if pack and len(pack) + len(data) > PACK_BYTES:
                yield self._closed(pack, members)
                pack, members = bytearray(), []
            places[known[SHA256]] = known[PACK], known[OFFSET] = len(self._index.packs), len(pack)
            members.append(known)
            pack += data
        if members:
            yield self._closed(pack, members)

    def _closed(self, pack: bytearray, members: list[Known]) -> tuple[str, bytes]:
        sha = hashlib.sha256(pack).hexdigest()
        assert all(known[PACK] == len(self._index.packs) for known in members)
        self._index.packs.append((sha, len(pack)))
        return sha, bytes(pack)

    def _manifest(self) -> Manifest:
        """The manifest, with those packs alone that are used; the index gets the same numbers."""
        used = sorted({known[PACK] for known in self._facts if known[PACK] >= 0})
        number = {old: new for new, old in enumerate(used)}
        self._index.packs = [self._index.packs[old] for old in used]
        files: list[StoredFile] = []
        for file, known in zip(self._files, self._facts, strict=True):
            known[PACK] = number.get(known[PACK], OWN_OBJECT)
            files.append(StoredFile(file.path, file.size, known[SHA256], known[PACK], known[OFFSET]))
        return Manifest("copy", list(self._index.packs), files)


class TreeUpload:
    """A data set that is read through /gcs: its files by name; those that an earlier one has are copied there."""

    def __init__(self, prepared: Prepared, facts: list[Known], dataset: str, sent: Sent) -> None:
        self._files = prepared.files
        self._facts = facts
        self._dataset = dataset
        self._earlier = prepared.index.dataset
        self._paths = {
            known[SHA256]: path for path, known in prepared.index.files.items() if known[PACK] != NOT_IN_BUCKET
        }
        self._sent = sent

    def run(self) -> Manifest:
        """Sends what is new; returns the manifest."""
        with Pool(THREADS, 2 * THREADS) as pool:
            for file, known in zip(self._files, self._facts, strict=True):
                pool.send(self._place, file, known)
        files = [StoredFile(f.path, f.size, known[SHA256]) for f, known in zip(self._files, self._facts, strict=True)]
        return Manifest("mount", [], files)

    def _place(self, file: DataFile, known: Known) -> None:
        target = tree_object(self._dataset, file.path)
        earlier = self._paths.get(known[SHA256])
        is_there = (
            earlier is not None
            and self._earlier != ""
            and self._sent.bucket.copy(tree_object(self._earlier, earlier), target)
        )
        if not is_there:
            self._sent.put_file(target, file)
        known[PACK] = OWN_OBJECT
