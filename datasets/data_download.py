"""Brings a data set from the bucket to a folder of this machine, checked by SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..core.atomic_files import write_atomic
from ..core.errors import DataError, storage_errors
from ..runtime.bucket_reader import ReadFailed
from ..runtime.data_copy import DataCopy, DataFailed
from ..runtime.data_variable import DataSet
from .bucket_objects import BucketObjects
from .manifest import StoredFile, tree_object
from .retention import StoredData, read_manifest

_THREADS = 8


class _Reader:
    """Reads a bucket with a person's own access, for the code that also runs in jobs."""

    def __init__(self, bucket: BucketObjects) -> None:
        self._bucket = bucket

    def read(self, bucket: str, name: str, take: Callable[[bytes], None], first: int = 0, last: int = -1) -> None:
        try:
            data = self._bucket.read(name, first, last)
        except DataError as error:
            raise ReadFailed(str(error)) from error
        if data is None:
            raise ReadFailed(f"gs://{bucket}/{name} is gone")
        take(data)


def download(bucket: BucketObjects, stored: StoredData, target: Path, say: Callable[[str], None]) -> None:
    """Writes the files of a data set to a folder that doesn't exist or is empty.

    Args:
        bucket: The bucket.
        stored: The data set.
        target: The folder, or the file for a data set that is one file.
        say: Called with lines of progress.

    Raises:
        DataError: The folder is not empty, or a file is missing or damaged.
        StorageError: The disk is full.
    """
    if target.exists() and (target.is_file() or any(target.iterdir())):
        raise DataError("there is something already", where=target, next_step="Name a folder that doesn't exist")
    if stored.mode == "copy":
        name = stored.manifest.name
        data = DataSet(stored.dataset[:12], str(target), "copy", bucket.bucket, name, "", "")
        try:
            DataCopy(data, str(target.absolute()), _Reader(bucket), say).run()  # pyright: ignore[reportArgumentType]
        except DataFailed as error:
            raise DataError(str(error).removeprefix("data: "), where=target) from error
        (target.absolute().parent / f".{target.name}.vertex-training-data").unlink(missing_ok=True)
        return
    manifest = read_manifest(bucket, stored)

    def fetch(file: StoredFile) -> None:
        data = bucket.read(tree_object(stored.dataset, file.path))
        if data is None or hashlib.sha256(data).hexdigest() != file.sha256:
            raise DataError("a file of the data set is missing or damaged", where=file.path or stored.dataset)
        if any(part in {"", ".", ".."} for part in file.path.split("/")) and file.path:
            raise DataError("the manifest names a path outside of the data set", where=file.path)
        write_atomic(target / file.path if file.path else target, data)

    with storage_errors(target), ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(fetch, manifest.files):
            pass
