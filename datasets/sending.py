"""Sends objects of a data set from several threads, and never a file that changed after its SHA-256 was computed."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, BinaryIO

from ..core.errors import DataError
from .bucket_objects import BucketObjects
from .data_files import DataFile, changed
from .data_index import NOT_IN_BUCKET, PACK, SHA256, Known
from .manifest import OBJECTS
from .prepare import SMALL, Prepared

THREADS = 8

Progress = Callable[[int], None]


class Sent:
    """Sends objects, and counts them."""

    def __init__(self, bucket: BucketObjects, progress: Progress) -> None:
        self.bucket = bucket
        self.objects = 0
        self.bytes = 0
        self._progress = progress

    def put(self, name: str, data: bytes) -> None:
        """Sends bytes, unless the bucket has the object."""
        self._count(self.bucket.put_new(name, data, len(data)), len(data))

    def put_file(self, name: str, file: DataFile) -> None:
        """Sends a file, unless the bucket has the object.

        Raises:
            DataError: It can't be read, or has changed.
        """
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


class Pool:
    """Threads that send, with a limit to what waits."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._limit = waiting
        self._running: set[Future[Any]] = set()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            for each in self._running:
                each.result()

    def send(self, action: Callable[..., None], *args: object) -> None:
        """Lets a thread do something, as soon as few enough things wait; raises what an earlier one raised."""
        if len(self._running) >= self._limit:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for each in done:
                each.result()
        self._running.add(self._pool.submit(action, *args))


class LargeFiles:
    """Sends large files by their content; each as soon as its SHA-256 is known, while others are still read."""

    def __init__(self, prepared: Prepared, sent: Sent) -> None:
        self.sent = sent
        self._ahead = prepared.mode == "copy"
        self._stored = {known[SHA256] for known in prepared.index.files.values() if known[PACK] != NOT_IN_BUCKET}
        self._begun: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> LargeFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def hashed(self, file: DataFile, known: Known) -> None:
        """Begins to send a file that is surely needed, and that the bucket may not have."""
        if self._ahead and file.size >= SMALL and known[SHA256] not in self._stored:
            self.send(file, known[SHA256])

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
