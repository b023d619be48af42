"""Which data sets a bucket holds, and which of them nobody needs any more.

A receipt names the data sets that its model was trained on; those are kept as long as the receipt is there. Others are
kept for some days, because a run that uses them may be under way. Packs and objects that no manifest names are what an
interrupted upload or a deleted data set left.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..core.errors import DataError
from .bucket_objects import BucketObjects, RemoteObject
from .manifest import MANIFESTS, OBJECTS, PACKS, TREES, Manifest, Mode, dataset_of

_UNFINISHED = timedelta(days=1)
"""An upload that takes longer than this may lose objects to `prune`, and sends them again when it is repeated."""


@dataclass(frozen=True, slots=True)
class StoredData:
    """A data set in a bucket.

    Attributes:
        dataset: Its ID.
        mode: "copy" or "mount".
        manifest: The manifest's object.
        receipts: The receipts that name it, as gs:// URIs.
    """

    dataset: str
    mode: Mode
    manifest: RemoteObject
    receipts: tuple[str, ...] = ()

    @property
    def updated(self) -> datetime:
        """When it was uploaded."""
        return _time(self.manifest.updated)


@dataclass(slots=True)
class PrunePlan:
    """What `prune` deletes.

    Attributes:
        data: Data sets that no receipt names and that are old enough.
        objects: What belongs to none of the data sets that stay.
    """

    data: list[StoredData] = field(default_factory=list)
    objects: list[RemoteObject] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the objects."""
        return sum(each.size for each in self.objects)


def list_data(bucket: BucketObjects) -> list[StoredData]:
    """The data sets in a bucket, the newest first.

    Raises:
        DataError: The bucket can't be read.
    """
    named: dict[str, list[str]] = {}
    for uri, ids in _receipts(bucket):
        for each in ids:
            named.setdefault(each, []).append(uri)
    found: list[StoredData] = []
    for item in _manifests(bucket):
        described = dataset_of(item.name)
        if described:
            found.append(StoredData(*described, item, tuple(named.get(described[0], ()))))
    return sorted(found, key=lambda each: each.manifest.updated, reverse=True)


def find_data(bucket: BucketObjects, begin: str) -> StoredData:
    """The data set whose ID begins so.

    Raises:
        DataError: There is none, or there are several.
    """
    found = [each for each in list_data(bucket) if each.dataset.startswith(begin.lower())]
    if len({each.dataset for each in found}) != 1 or not begin:
        what = (
            f"no data set's ID begins with {begin!r}" if not found else f"several data sets' IDs begin with {begin!r}"
        )
        raise DataError(what, where=f"gs://{bucket.bucket}", next_step="List them with `vertex-training data list`")
    return found[0]


def read_manifest(bucket: BucketObjects, stored: StoredData) -> Manifest:
    """A data set's manifest.

    Raises:
        DataError: It is gone or damaged.
    """
    data = bucket.read(stored.manifest.name)
    where = f"gs://{bucket.bucket}/{stored.manifest.name}"
    if data is None:
        raise DataError("the data set is gone", where=where, next_step="Upload it again with a run")
    return Manifest.decode(data, where)


def plan_prune(bucket: BucketObjects, keep_days: float, now: datetime | None = None) -> PrunePlan:
    """What may be deleted.

    Args:
        bucket: The bucket.
        keep_days: Days for which data sets are kept that no receipt names.
        now: The present time.

    Raises:
        DataError: The bucket or a manifest can't be read; then nothing may be deleted.
    """
    now = now or datetime.now(UTC)
    plan = PrunePlan()
    needed: set[str] = set()
    for each in list_data(bucket):
        if each.receipts or now - each.updated < timedelta(days=keep_days):
            needed |= read_manifest(bucket, each).objects(each.dataset) | {each.manifest.name}
        else:
            plan.data.append(each)
    gone = {each.manifest.name for each in plan.data}
    for each in plan.data:
        gone |= _objects_if_readable(bucket, each)
    for folder in (MANIFESTS, TREES, OBJECTS, PACKS):
        for item in bucket.list(folder):
            is_unfinished = now - _time(item.updated) < _UNFINISHED
            if item.name not in needed and (item.name in gone or not is_unfinished):
                plan.objects.append(item)
    return plan


def prune(bucket: BucketObjects, plan: PrunePlan) -> None:
    """Deletes what is planned, the manifests first: a data set is whole or not there, whenever this is cut off.

    A data set that was uploaded meanwhile and shares an object with what is deleted loses its manifest, too: the next
    run uploads it again.

    Raises:
        DataError: The bucket can't be changed.
    """
    manifests = [each for each in plan.objects if dataset_of(each.name)]
    for each in manifests:
        bucket.delete(each.name, each.generation)
    others = [each for each in plan.objects if not dataset_of(each.name)]
    for each in others:
        bucket.delete(each.name, each.generation)
    gone = {each.name for each in others}
    known = {each.name for each in manifests}
    for item in _manifests(bucket):
        described = dataset_of(item.name)
        if described and item.name not in known:
            stored = StoredData(*described, item)
            if read_manifest(bucket, stored).objects(stored.dataset) & gone:
                bucket.delete(item.name, item.generation)


def _objects_if_readable(bucket: BucketObjects, stored: StoredData) -> set[str]:
    """The objects of a data set that is deleted; none if its manifest is damaged, as they go with age then."""
    try:
        return read_manifest(bucket, stored).objects(stored.dataset)
    except DataError:
        return set()


def _manifests(bucket: BucketObjects) -> Iterator[RemoteObject]:
    yield from bucket.list(MANIFESTS)
    yield from bucket.list(TREES, glob=f"{TREES}*.json.gz")


def _receipts(bucket: BucketObjects) -> Iterator[tuple[str, list[str]]]:
    """Each receipt in the bucket, and the IDs of the data sets that it names."""
    for item in bucket.list("", glob="**/receipt.json"):
        data = bucket.read(item.name)
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            named = json.loads(data or b"{}").get("data") or []
            yield f"gs://{bucket.bucket}/{item.name}", [str(each["id"]) for each in named]


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC)
