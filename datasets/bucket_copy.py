"""Copies data that lies in a bucket to a bucket of another region, by the service: nothing passes this machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..core.errors import DataError
from .bucket_objects import BucketObjects
from .bucket_source import describe_source, is_near

COPIES = "data/copies"
"""The folder in the other bucket; in it one for each state of the source."""

_THREADS = 8
_NORTH_AMERICA, _EUROPE = ("us-", "northamerica-"), ("europe-",)
_WITHIN, _OVER_THE_ATLANTIC, _FURTHER = 0.02, 0.05, 0.08
"""USD a GB that leaves a region for another one of Google's: the lowest class of each distance. Some are dearer, as to
South America, Australia and Africa; https://cloud.google.com/storage/pricing#network-buckets."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a copy takes.

    Attributes:
        uri: Where the data is then.
        files: Number of objects.
        size: Bytes.
        usd: About what it costs; at least this much.
    """

    uri: str
    files: int
    size: int
    usd: float

    def __str__(self) -> str:
        return f"{self.files:,} files with {self.size / 1e9:,.2f} GB, about {self.usd:.2f} USD"


def needs_copy(objects: BucketObjects, region: str) -> bool:
    """Whether a bucket is too far from a region; False where the account may not read its place.

    Raises:
        DataError: There is no such bucket.
    """
    return not is_near(objects.location(), region)


def plan_copy(name: str, uri: str, source: BucketObjects, target: str, region: str) -> Transfer:
    """What copying a data set to another region takes; nothing is sent.

    Args:
        name: The data set's name.
        uri: `gs://BUCKET/PREFIX`.
        source: That bucket.
        target: Name of the bucket in the other region.
        region: The other region.

    Raises:
        DataError: There is nothing, or the account may not list it.
    """
    location = source.location()
    found = describe_source(name, uri, source, location)
    place = f"gs://{target}/{COPIES}/{found.id}/{uri.rpartition('/')[2]}"
    return Transfer(place, found.files, found.size, found.size / 1e9 * price_of_a_gb(location, region))


def copy_data(uri: str, source: BucketObjects, target: BucketObjects, planned: Transfer) -> None:
    """Copies the objects that the other bucket lacks; may be repeated.

    Raises:
        DataError: A service refused, or an object is gone.
    """
    prefix = uri.removeprefix("gs://").partition("/")[2]
    folder = planned.uri.removeprefix(f"gs://{target.bucket}/")

    def copy(name: str) -> None:
        rest = name[len(prefix) :].lstrip("/")
        if not source.copy(name, f"{folder}/{rest}" if rest else folder, target.bucket):
            where = f"gs://{source.bucket}/{name}"
            raise DataError("an object of the data is gone", where=where, next_step="Run again")

    listed = (each.name for each in source.list(prefix) if not each.name.endswith("/"))
    names = [name for name in listed if not prefix or name == prefix or name.startswith(f"{prefix}/")]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="copy") as pool:
        for done in [pool.submit(copy, name) for name in names]:
            done.result()


def price_of_a_gb(location: str, region: str) -> float:
    """USD a GB from one region to another, at least."""
    if location == region:
        return 0.0
    for continent in (_NORTH_AMERICA, _EUROPE):
        if location.startswith(continent) and region.startswith(continent):
            return _WITHIN
    both = (*_NORTH_AMERICA, *_EUROPE)
    return _OVER_THE_ATLANTIC if location.startswith(both) and region.startswith(both) else _FURTHER
