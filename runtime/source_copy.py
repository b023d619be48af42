"""Copies data that lay in a bucket already to the job's disk: the objects that the run has found, or nothing.

Objects have no SHA-256 in Cloud Storage. Each is read in the generation that the run has recorded, and checked by its
MD5, which all objects have but those that were composed of others.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, NamedTuple, Tuple

from .bucket_reader import machine_threads
from .data_copy import DataFailed, DiskCopy, run_all

# Where a machine's rules forbid MD5 for security, it must be said that this isn't.
_OPTIONS: Dict[str, Any] = {"usedforsecurity": False} if sys.version_info >= (3, 9) else {}


class Source(NamedTuple):
    """An object; `path` is relative to the data set, empty for a data set that is this one object."""

    path: str
    name: str
    size: int
    generation: str
    md5: str


class SourceCopy(DiskCopy):
    """The copy of all objects below a prefix, or of one object."""

    def _find(self) -> Tuple[int, int]:
        prefix = self._data.uri[len("gs://") :].partition("/")[2]
        digest = hashlib.sha256()
        self._sources: List[Source] = []
        for item in self._reader.list(self._data.bucket, prefix):
            name, size, generation = item["name"], int(item.get("size", 0)), str(item.get("generation", ""))
            if name.endswith("/") or (prefix and name != prefix and not name.startswith(prefix + "/")):
                continue  # a folder's mark, or `train-2` beside `train`
            line = "%d %s %s %d\n" % (len(name.encode("utf-8")), name, generation, size)
            digest.update(line.encode("utf-8"))  # as the run has done
            path = name[len(prefix) + 1 :] if prefix else name
            self._sources.append(Source(path, name, size, generation, item.get("md5Hash", "")))
        if digest.hexdigest() != self._data.listing:
            text = "data: %s: the objects at %s have changed since the run began: start a new run"
            raise DataFailed(text % (self._data.name, self._data.uri))
        return sum(each.size for each in self._sources), len(self._sources)

    def _copy(self) -> None:
        if not (len(self._sources) == 1 and self._sources[0].path == ""):
            for each in self._sources:
                if any(part in ("", ".", "..") for part in each.path.split("/")):
                    raise DataFailed("data: %s: %s can't be a file" % (self._data.name, self._where(each)))
            self._make_folders(each.path for each in self._sources)
        with ThreadPoolExecutor(machine_threads()) as pool:
            run_all(pool, self._copy_object, self._sources)

    def _copy_object(self, source: Source) -> None:
        digest, size = hashlib.md5(**_OPTIONS), 0  # noqa: S324 - as Cloud Storage has it
        with open(self._place(source.path), "wb") as out:

            def take(piece: bytes) -> None:
                nonlocal size
                digest.update(piece)
                out.write(piece)
                size += len(piece)
                self._count(len(piece), 0)

            self._reader.read(self._data.bucket, source.name, take, generation=source.generation)
        found = base64.b64encode(digest.digest()).decode("ascii")
        if size != source.size or (source.md5 and found != source.md5):
            text = "data: %s of %s arrived damaged: %d of %d bytes, MD5 %s"
            raise DataFailed(text % (self._where(source), self._data.name, size, source.size, found))
        self._count(0, 1)

    def _where(self, source: Source) -> str:
        return "gs://%s/%s" % (self._data.bucket, source.name)
