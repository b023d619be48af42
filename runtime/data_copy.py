"""Copies a data set to the job's disk: in parallel, each file checked by its SHA-256, whole or not at all.

The files are written beside the place where the script opens them, and renamed when all are there. A second start in
the same container finds them and copies nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterable, List, Tuple

from .bucket_reader import BucketReader, ReadFailed, machine_threads
from .data_variable import DataSet

_PREFIX = "vertex-training-data"
_PACKS_AT_ONCE = 4  # each is in memory
_GAP = 256 << 10
_REPORT_SECONDS = 10.0
_INODE_SPARE = 1000
_SPARE = 64 << 20

File = Tuple[str, int, str, int]
"""Path, size, SHA-256, offset in its pack."""


class DataFailed(Exception):
    """A data set can't be provided; the message names it and the reason."""


class DiskCopy:
    """The copy of one data set; what it is made of is up to the kind of data set.

    Args:
        data: The data set.
        target: Where the script opens it, absolute.
        reader: Reads the bucket.
        say: Writes a line to the job's log.
    """

    def __init__(self, data: DataSet, target: str, reader: BucketReader, say: Callable[[str], None]) -> None:
        self._data = data
        self._target = target
        self._reader = reader
        self._say = say
        parent, name = os.path.split(target)
        self._partial = os.path.join(parent, ".%s.vertex-training-partial" % name)
        self._mark = mark_of(target)
        self._version = data.listing or data.manifest
        self._lock = threading.Lock()
        self._done = [0, 0]
        self._whole = [0, 0]
        self._shown = time.time()

    def run(self) -> None:
        """Makes sure that the data set is there.

        Raises:
            DataFailed: It can't be read, a file is damaged, or the disk is too small.
        """
        if self._is_there():
            self._say("data: %s is there already" % self._data.name)
            return
        started = time.time()
        try:
            self._whole = list(self._find())
            os.makedirs(os.path.dirname(self._target), exist_ok=True)
            _remove(self._partial)
            self._check_room()
            self._copy()
            _remove(self._target)
            os.rename(self._partial, self._target)
            with open(self._mark, "w") as mark:
                mark.write(self._version)
        except OSError as error:
            text = "data: %s can't be written: %s (%s)"
            raise DataFailed(text % (self._data.name, error.strerror, error.filename)) from error
        except ReadFailed as error:
            raise DataFailed("data: %s: %s" % (self._data.name, error)) from error
        size, count = self._whole
        seconds = max(time.time() - started, 0.001)
        text = "data: %s: %d files, %.1f MB copied in %.1f s, %.0f MB/s"
        self._say(text % (self._data.name, count, size / 1e6, seconds, size / 1e6 / seconds))

    def _is_there(self) -> bool:
        try:
            with open(self._mark) as mark:
                return mark.read() == self._version and os.path.exists(self._target)
        except OSError:
            return False

    def _find(self) -> Tuple[int, int]:
        """Finds out what is to be copied; returns bytes and files."""
        raise NotImplementedError

    def _copy(self) -> None:
        """Copies everything to the place beside the target."""
        raise NotImplementedError

    def _check_room(self) -> None:
        """Compares bytes and inodes with what the disk has, before anything is copied."""
        size, count = self._whole
        disk = os.statvfs(os.path.dirname(self._target))
        free = disk.f_bavail * disk.f_frsize
        if free < size + count * 4096 + _SPARE:
            text = "data: %s needs %.1f GB, and the disk has %.1f GB free: set a larger boot-disk-gb"
            raise DataFailed(text % (self._data.name, size / 1e9, free / 1e9))
        if disk.f_files and disk.f_favail < count + _INODE_SPARE:
            text = "data: %s has %d files, and the disk has room for %d more: set a larger boot-disk-gb"
            raise DataFailed(text % (self._data.name, count, disk.f_favail))

    def _make_folders(self, paths: Iterable[str]) -> None:
        for folder in sorted({os.path.dirname(path) for path in paths}):
            os.makedirs(os.path.join(self._partial, folder), exist_ok=True)

    def _place(self, path: str) -> str:
        return os.path.join(self._partial, path) if path else self._partial

    def _count(self, size: int, count: int) -> None:
        with self._lock:
            self._done[0] += size
            self._done[1] += count
            if time.time() - self._shown < _REPORT_SECONDS:
                return
            self._shown = time.time()
            done, whole = self._done, self._whole
        text = "data: %s: %.1f of %.1f GB, %d of %d files"
        self._say(text % (self._data.name, done[0] / 1e9, whole[0] / 1e9, done[1], whole[1]))


class DataCopy(DiskCopy):
    """The copy of a data set from packs and objects, after its manifest; each file is checked by its SHA-256."""

    def _find(self) -> Tuple[int, int]:
        self._document = self._manifest()
        files = self._document["files"]
        return sum(file[1] for file in files), len(files)

    def _manifest(self) -> Dict[str, Any]:
        data = bytearray()
        self._reader.read(self._data.bucket, self._data.manifest, data.extend)
        try:
            return json.loads(gzip.decompress(bytes(data)).decode("utf-8"))
        except (OSError, EOFError, ValueError) as error:
            raise DataFailed("data: the manifest of %s is damaged: %s" % (self._data.name, error)) from error

    def _copy(self) -> None:
        document = self._document
        files = document["files"]
        single = len(files) == 1 and files[0][0] == ""
        if not single:
            self._make_folders(file[0] for file in files)
        packs: Dict[int, List[File]] = {}
        own: Dict[str, List[File]] = {}
        for path, size, sha, pack, offset in files:
            _check_path(path, single)
            if pack >= 0:
                packs.setdefault(pack, []).append((path, size, sha, offset))
            else:
                own.setdefault(sha, []).append((path, size, sha, 0))
        with ThreadPoolExecutor(machine_threads()) as pool:
            run_all(pool, self._copy_object, list(own.values()))
        with ThreadPoolExecutor(_PACKS_AT_ONCE) as pool:
            work = [(document["packs"][number], members) for number, members in packs.items()]
            run_all(pool, self._copy_pack, work)

    def _copy_object(self, members: List[File]) -> None:
        path, size, sha, _ = members[0]
        digest = hashlib.sha256()
        with open(self._place(path), "wb") as out:

            def take(piece: bytes) -> None:
                digest.update(piece)
                out.write(piece)
                self._count(len(piece), 0)

            if size:
                self._reader.read(self._data.bucket, "%s/objects/%s" % (_PREFIX, sha), take)
        self._compare(digest.hexdigest(), sha, path)
        self._count(0, 1)
        for other, _, _, _ in members[1:]:
            shutil.copyfile(self._place(path), self._place(other))
            self._count(size, 1)

    def _copy_pack(self, work: Tuple[List[Any], List[File]]) -> None:
        (sha, whole), members = work
        members.sort(key=lambda file: file[3])
        for group in _groups(members, whole):
            first = group[0][3]
            last = max(file[3] + file[1] for file in group) - 1
            data = bytearray()
            if last >= first:
                self._reader.read(self._data.bucket, "%s/packs/%s" % (_PREFIX, sha), data.extend, first, last)
            view = memoryview(data)
            for path, size, wanted, offset in group:
                piece = view[offset - first : offset - first + size]
                self._compare(hashlib.sha256(piece).hexdigest(), wanted, path)
                with open(self._place(path), "wb", buffering=0) as out:
                    _write(out, piece)
                self._count(size, 1)

    def _compare(self, found: str, wanted: str, path: str) -> None:
        if found != wanted:
            text = "data: %s of %s is damaged in the bucket: its SHA-256 is %s, not %s"
            raise DataFailed(text % (path or "the file", self._data.name, found[:12], wanted[:12]))


def mark_of(target: str) -> str:
    """The file beside a copied data set that names it."""
    parent, name = os.path.split(target)
    return os.path.join(parent, ".%s.vertex-training-data" % name)


def _groups(members: List[File], whole: int) -> List[List[File]]:
    """Files that are read with one request: all, if most of the pack is used, else those without large gaps between."""
    if sum(file[1] for file in members) * 3 >= whole:
        return [members]
    groups: List[List[File]] = []
    end = -1
    for file in members:
        if end < 0 or file[3] - end > _GAP:
            groups.append([])
        groups[-1].append(file)
        end = max(end, file[3] + file[1])
    return groups


def run_all(pool: ThreadPoolExecutor, action: Callable[[Any], None], work: List[Any]) -> None:
    """Runs the action for each; the first error ends all."""
    stopped: List[BaseException] = []

    def run(item: Any) -> None:  # noqa: ANN401 - that of `action`
        if stopped:
            return
        try:
            action(item)
        except BaseException as error:
            stopped.append(error)
            raise

    futures = [pool.submit(run, item) for item in work]
    for future in futures:
        future.result()


def _check_path(path: str, single: bool) -> None:
    """A manifest comes from a bucket: nothing may be written outside of the data set's folder."""
    if single and path == "":
        return
    if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise DataFailed("data: the manifest names a path outside of the data set, %r" % path)


def _write(out: Any, piece: memoryview) -> None:  # noqa: ANN401 - an unbuffered file
    done = 0
    while done < len(piece):
        done += out.write(piece[done:]) or 0


def _remove(path: str) -> None:
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)
