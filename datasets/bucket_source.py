"""Data that lies in a bucket already: it is checked and described, and stays there."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ..core.errors import DataError
from .bucket_objects import BucketObjects
from .data_record import DataRecord

_NAME_BYTES = 255  # of a file's name, on Linux
_MULTI_REGIONS = {"us": "us-", "eu": "europe-", "asia": "asia-"}


def describe_source(
    name: str, uri: str, objects: BucketObjects, region: str, *, mode: str = "mount", place: str = ""
) -> DataRecord:
    """Describes the data below a gs:// URI, or one object.

    Args:
        name: The data set's name.
        uri: `gs://BUCKET/PREFIX`.
        objects: The bucket.
        region: The job's region.
        mode: "copy" if the job copies it to its disk.
        place: Where that copy lies.

    Raises:
        DataError: There is nothing, the account may not list it, the bucket lies in another region, or an object that
            is copied can't be a file.
    """
    prefix = uri.removeprefix("gs://").partition("/")[2]
    check_region(objects, region, uri)
    digest, files, size = hashlib.sha256(), 0, 0
    paths: list[str] = []
    for found in objects.list(prefix):
        if found.name != prefix and prefix and not found.name.startswith(f"{prefix}/"):
            continue  # `train-2` also begins with `train`
        if found.name.endswith("/"):
            continue
        files += 1
        size += found.size
        paths.append(found.name[len(prefix) :].removeprefix("/") if prefix else found.name)
        digest.update(f"{len(found.name.encode())} {found.name} {found.generation} {found.size}\n".encode())
    if not files:
        raise DataError(
            f"the data set {name} has no object", where=uri, next_step="Check the address, or upload the data there"
        )
    if mode == "copy" and (wrong := _no_file(paths)) is not None:
        raise DataError(
            f"the data set {name} can't be copied to a disk: the object {wrong!r} can't be a file there",
            where=uri,
            next_step='Rename or delete that object, or set mode = "mount"',
        )
    return replace(in_bucket(name, uri, mode, place), id=digest.hexdigest(), files=files, size=size)


def in_bucket(name: str, uri: str, mode: str = "mount", place: str = "") -> DataRecord:
    """What is known of such data without asking the bucket: where it is.

    Args:
        name: The data set's name.
        uri: `gs://BUCKET/PREFIX`.
        mode: "copy" if the job copies it to its disk.
        place: Where that copy lies.
    """
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    mounted = f"/gcs/{bucket}/{prefix}".rstrip("/")
    path = place if mode == "copy" else ""
    return DataRecord(name, "", mode, 0, 0, path=path, bucket=bucket, mounted=mounted, uri=uri)


def _no_file(paths: list[str]) -> str | None:
    """The first path that no file can have, as `a//b`, `../a`, or `a` beside `a/b`; one path alone may be empty."""
    if paths == [""]:
        return None
    folders = {path[:at] for path in paths for at, sign in enumerate(path) if sign == "/"}
    for path in paths:
        parts = path.split("/")
        if path in folders or any(part in {"", ".", ".."} or len(part.encode()) > _NAME_BYTES for part in parts):
            return path
    return None


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
