"""Uploads what of a data set is not in the bucket, the manifest last: a data set is whole there, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.background.collection import rarely_collected
from .bucket_objects import BucketObjects
from .data_index import NOT_IN_BUCKET, OFFSET, PACK, SHA256, Known
from .manifest import Manifest, dataset_id, manifest_object
from .prepare import Prepared, hash_files
from .sending import LargeFiles, Progress, Sent
from .upload_layouts import CopyUpload, TreeUpload


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
    sent = Sent(bucket, progress)
    with LargeFiles(prepared, sent) as large:
        facts = hash_files(prepared, large.hashed)
        triples = _triples(prepared, facts)
        dataset = dataset_id(triples)
        name = manifest_object(dataset, prepared.mode)
        if bucket.exists(name):
            large.cancel()
            if any(known[PACK] == NOT_IN_BUCKET for known in facts):
                _adopt(prepared, facts, bucket.read(name), name)
        else:
            if prepared.index.dataset and not bucket.exists(manifest_object(prepared.index.dataset, prepared.mode)):
                # Someone pruned the bucket: what the index says is there may be gone.
                prepared.index.forget_bucket()
                for known in facts:
                    known[PACK] = NOT_IN_BUCKET
            is_mount = prepared.mode == "mount"
            kind = TreeUpload(prepared, facts, dataset, sent) if is_mount else CopyUpload(prepared, facts, large)
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
    return [(file.path, file.size, known[SHA256]) for file, known in zip(prepared.files, facts, strict=True)]


def _adopt(prepared: Prepared, facts: list[Known], stored: bytes | None, name: str) -> None:
    """Takes from the manifest of another upload of the same files where their bytes lie."""
    if stored is None:
        return
    manifest = Manifest.decode(stored, name)
    prepared.index.packs = manifest.packs
    places = {file.path: file for file in manifest.files}
    for file, known in zip(prepared.files, facts, strict=True):
        known[PACK], known[OFFSET] = places[file.path].pack, places[file.path].offset


def _remember(prepared: Prepared, facts: list[Known], dataset: str) -> None:
    index = prepared.index
    if index.dataset == dataset and all(known is not None for known in prepared.known):
        return
    index.files = {file.path: known for file, known in zip(prepared.files, facts, strict=True)}
    index.dataset = dataset
    index.save()
