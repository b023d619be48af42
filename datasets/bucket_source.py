"""Data that lies in a bucket already: it is checked and described, and never copied."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ..core.errors import DataError
from .bucket_objects import BucketObjects
from .data_record import DataRecord

_MULTI_REGIONS = {"us": "us-", "eu": "europe-", "asia": "asia-"}


def describe_source(name: str, uri: str, objects: BucketObjects, region: str) -> DataRecord:
    """Describes the data below a gs:// URI, or one object.

    Args:
        name: The data set's name.
        uri: `gs://BUCKET/PREFIX`.
        objects: The bucket.
        region: The job's region.

    Raises:
        DataError: There is nothing, the account may not list it, or the bucket lies in another region.
    """
    prefix = uri.removeprefix("gs://").partition("/")[2]
    check_region(objects, region, uri)
    digest, files, size = hashlib.sha256(), 0, 0
    for found in objects.list(prefix):
        if found.name != prefix and prefix and not found.name.startswith(f"{prefix}/"):
            continue  # `train-2` also begins with `train`
        if found.name.endswith("/"):
            continue
        files += 1
        size += found.size
        digest.update(f"{len(found.name.encode())} {found.name} {found.generation} {found.size}\n".encode())
    if not files:
        raise DataError(
            f"the data set {name} has no object", where=uri, next_step="Check the address, or upload the data there"
        )
    return replace(in_bucket(name, uri), id=digest.hexdigest(), files=files, size=size)


def in_bucket(name: str, uri: str) -> DataRecord:
    """What is known of such data without asking the bucket: where it is.

    Args:
        name: The data set's name.
        uri: `gs://BUCKET/PREFIX`.
    """
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    mounted = f"/gcs/{bucket}/{prefix}".rstrip("/")
    return DataRecord(name, "", "mount", 0, 0, bucket=bucket, mounted=mounted, uri=uri)


def check_region(objects: BucketObjects, region: str, uri: str) -> None:
    """Checks that a bucket is where the job runs: traffic between regions is slow and costs money.

    Raises:
        DataError: It is elsewhere.
    """
    location = objects.location()
    if is_near(location, region):
        return
    raise DataError(
        f"the data is in {location}, and the job would run in {region}",
        where=uri,
        next_step=f"Copy it to a bucket in {region}, or run the job in {location}",
    )


def is_near(location: str, region: str) -> bool:
    """Whether data of a location is where a job in the region runs; True for an unknown location."""
    begins = _MULTI_REGIONS.get(location)
    return location in {"", region} or bool(begins and region.startswith(begins))
