"""Downloads a model: in parallel, resumed after an interruption, every file checked against the receipt.

Nothing but the receipt decides what is whole. A file has its name only once its size and SHA-256 are right. Until then
it grows in a hidden folder beside the model's files, under a name made of its path and checksum, so that a later
download knows which bytes it has. Files of other names or contents are never touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...core.errors import StorageError, TrainingError, VertexError
from ...core.metering.meter import DOWNLOADING, Item, Meters
from ...core.metering.reading import amount
from ...core.retry import retry
from ..client.storage import ModelStore
from ..job_types import ModelFile
from .recorded_model import RecordedModel

PARTS = ".vertex-training-download"
"""The folder of files that are not whole yet; gone after a download that ended well."""

CHECKING = "checking"
"""What is counted beside the download: files that are there already."""

_THREADS = 8
_BLOCK = 1 << 20
_SHOWN = 3
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A model that is whole in a folder of this machine.

    Attributes:
        folder: The folder.
        fetched: The files that this call completed; the others were there.
    """

    folder: Path
    fetched: tuple[str, ...]


def download(
    store: ModelStore,
    model: RecordedModel,
    folder: Path,
    *,
    meters: Meters | None = None,
    threads: int = _THREADS,
) -> Downloaded:
    """Brings every file of a model into a folder.

    A download that failed or was interrupted leaves its finished files, and the begun ones in `PARTS`; a repeated call
    continues with them.

    Args:
        store: Where the model is.
        model: What its receipt says.
        folder: Created if it isn't there; else empty, or with files of this model alone.
        meters: Where bytes are counted.
        threads: How many files are downloaded at a time.

    Raises:
        StorageError: The folder holds other files, may not be written to, or has too little space.
        VertexError: A file is gone from the bucket, or is not the one of the receipt; transient when no answer came.
    """
    meters = meters or Meters()
    with _local_errors(folder):
        missing = _missing(model, folder, meters)
        if missing:
            _check_space(missing, folder)
            with _made(folder):
                _run(_Fetch(store, model, folder, meters), missing, threads)
    return Downloaded(folder, tuple(sorted(file.path for file in missing)))


def _missing(model: RecordedModel, folder: Path, meters: Meters) -> list[ModelFile]:
    """The files that aren't whole in the folder.

    Raises:
        StorageError: It holds something else than this model.
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError("there is a file where the model should go", where=folder, next_step=_OTHER)
    known = {file.path: file for file in model.files}
    there, others = _entries(folder, known)
    if others:
        shown = ", ".join(others[:_SHOWN]) + (f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else "")
        raise StorageError(f"the folder holds what is no part of this model: {shown}", where=folder, next_step=_OTHER)
    meter = meters[CHECKING]
    counted = [meter.item(known[path].size) for path in there]
    with ThreadPoolExecutor(_THREADS) as pool:
        whole = list(pool.map(lambda path, item: _is_whole(folder / path, known[path], item), there, counted))
    for path, right in zip(there, whole, strict=True):
        if not right:
            raise StorageError(
                f"{path} is there already, and is not the file of this model", where=folder, next_step=_OTHER
            )
    return [file for path, file in known.items() if path not in set(there)]


_OTHER = "Choose another folder, or move what is there: a download overwrites nothing"


def _entries(folder: Path, known: dict[str, ModelFile]) -> tuple[list[str], list[str]]:
    """What is in the folder: the model's files, and everything else, by relative path."""
    parents = {"/".join(parts[:end]) for path in known for parts in [path.split("/")] for end in range(1, len(parts))}
    parts = {_part_name(file) for file in known.values()}
    there, others = [], []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            others.append(name)
        elif name in known and path.is_file():
            there.append(name)
        elif path.is_dir():
            if name not in parents and name != PARTS:
                others.append(f"{name}/")
        elif path.parent != folder / PARTS or path.name not in parts:
            others.append(name)
    return there, others


def _is_whole(path: Path, file: ModelFile, counted: Item) -> bool:
    with counted:
        if path.stat().st_size != file.size:
            return False
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            _hash(stream, digest.update, counted.add)
        return digest.hexdigest() == file.sha256


def _hash(stream: IO[bytes], update: Callable[[bytes], object], count: Callable[[int], None]) -> None:
    while block := stream.read(_BLOCK):
        update(block)
        count(len(block))


def _check_space(missing: Sequence[ModelFile], folder: Path) -> None:
    parts = folder / PARTS
    have = sum(path.stat().st_size for path in parts.glob("*")) if parts.is_dir() else 0
    needed = sum(file.size for file in missing) - have
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise StorageError(
            f"the model needs {amount(needed)}, and the disk has {amount(free)} left",
            where=folder,
            next_step="Free space there, or choose a folder on another disk",
        )


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Creates the folder and that of the parts, for one download at a time; what stays empty is removed again.

    Raises:
        StorageError: Another download writes there.
    """
    parts = folder / PARTS
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    parts.mkdir(parents=True, exist_ok=True)
    lock = os.open(parts, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        shutil.rmtree(parts)
    except BlockingIOError as error:
        raise StorageError(
            "another download writes to this folder", where=folder, next_step="Wait until it has ended"
        ) from error
    finally:
        os.close(lock)
        for path in [parts, *made]:
            with suppress(OSError):  # it isn't empty
                path.rmdir()


def _run(fetch: _Fetch, missing: Sequence[ModelFile], threads: int) -> None:
    """Fetches all files; the first failure, or an interruption, ends the others."""
    with ThreadPoolExecutor(threads, thread_name_prefix="download") as pool:
        # The largest first: the last ones to end are small.
        ordered = sorted(missing, key=lambda file: file.size, reverse=True)
        running = [pool.submit(fetch, file, fetch.announce(file)) for file in ordered]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                fetch.stopped.set()
                # The file that failed may end after those that it has stopped.
                failed = [error for future in wait(running).done if (error := future.exception())]
                raise next((error for error in failed if not isinstance(error, _Stopped)), failed[0])
        finally:
            fetch.stopped.set()
            pool.shutdown(cancel_futures=True)


class _Stopped(VertexError):
    """Another file failed."""


class _Fetch:
    """Fetches single files of one model."""

    def __init__(self, store: ModelStore, model: RecordedModel, folder: Path, meters: Meters) -> None:
        self.stopped = threading.Event()
        self._store, self._model, self._folder = store, model, folder
        self._meter = meters[DOWNLOADING]

    def announce(self, file: ModelFile) -> Item:
        """Counts a file among those that will be downloaded."""
        return self._meter.item(file.size)

    def __call__(self, file: ModelFile, counted: Item) -> None:
        """Brings one file to its place.

        Raises:
            VertexError: It is gone, or another one.
            StorageError: The disk is full, or a file came to its place meanwhile.
        """
        part = self._folder / PARTS / _part_name(file)
        self.go_on()
        with _local_errors(part), counted:
            try:
                with part.open("ab+") as stream:
                    retry(lambda: self._transfer(file, stream, counted), attempts=_ATTEMPTS)
            except BaseException:
                self.stopped.set()
                if part.exists() and not part.stat().st_size:
                    part.unlink()
                raise
            _place(part, self._folder / file.path)

    def go_on(self) -> None:
        """Raises `_Stopped` once another file has failed."""
        if self.stopped.is_set():
            raise _Stopped("the download was stopped")

    def _transfer(self, file: ModelFile, stream: IO[bytes], counted: Item) -> None:
        """Completes a part.

        Raises:
            VertexError: What is in the bucket is not what the receipt says; nothing of it is kept.
        """
        for resumed in (True, False):
            digest = hashlib.sha256()
            stream.seek(0)
            if not resumed or os.fstat(stream.fileno()).st_size > file.size:
                stream.truncate(0)
            _hash(stream, digest.update, lambda _: None)
            start = stream.tell()
            counted.resume(start)
            sink = _Sink(self, stream, digest.update, counted)
            if start < file.size:
                self._store.read(f"{self._model.folder}/{file.path}", sink, start)
            if digest.hexdigest() == file.sha256:
                return
            stream.truncate(0)
            if start == 0:  # else the bytes of an earlier download may be the wrong ones
                break
        raise VertexError(
            f"{file.path} in the bucket is not the file of the receipt: its SHA-256 is {digest.hexdigest()[:12]}..., "
            f"not {file.sha256[:12]}...",
            where=self._store.location(f"{self._model.folder}/{file.path}"),
            next_step="Somebody changed the model after its run; train again, or take another run's",
        )


class _Sink:
    """Receives a file's bytes: writes, hashes and counts them, until another file fails."""

    def __init__(self, fetch: _Fetch, stream: IO[bytes], update: Callable[[bytes], object], counted: Item) -> None:
        self._fetch, self._stream, self._update, self._counted = fetch, stream, update, counted

    def write(self, data: bytes, /) -> int:
        self._fetch.go_on()
        with _local_errors(self._stream.name):
            self._stream.write(data)
        self._update(data)
        self._counted.add(len(data))
        return len(data)


def _place(part: Path, path: Path) -> None:
    """Gives a whole file its name, unless there is one of that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.hardlink_to(part)
    except FileExistsError as error:
        raise StorageError("a file came to this place during the download", where=path, next_step=_OTHER) from error
    except OSError:  # a file system without links
        if not part.exists() or path.exists():
            raise
        part.rename(path)
        return
    part.unlink()


def _part_name(file: ModelFile) -> str:
    return f"{hashlib.sha256(file.path.encode()).hexdigest()[:16]}-{file.sha256}"


@contextmanager
def _local_errors(where: object) -> Iterator[None]:
    """Turns errors of this machine's disk into `StorageError`."""
    try:
        yield
    except TrainingError:
        raise
    except OSError as error:
        if error.errno is None:
            raise
        raise StorageError(
            f"can't write the model: {(error.strerror or 'disk error').lower()}",
            where=error.filename or where,
            next_step="Free space there or choose another folder, and run again: what is there is not fetched again",
        ) from error
