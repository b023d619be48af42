"""The manifest of a data set: its files, and where their bytes lie in the bucket.

Objects in the bucket, below `PREFIX`:

    objects/SHA256       a file of 1 MB or more
    packs/SHA256         many smaller files, one after another; never changed
    manifests/ID.json.gz the manifest of a data set that is copied to the job's disk, written last
    trees/ID/PATH        the files of a data set that the job reads through /gcs, by name
    trees/ID.json.gz     its manifest, written last

A data set's ID is the hash of its files' paths, sizes and SHA-256, so it doesn't depend on where they lie.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import orjson

from ..core.errors import DataError

PREFIX = "vertex-training-data"
MANIFESTS, TREES, OBJECTS, PACKS = (f"{PREFIX}/{kind}/" for kind in ("manifests", "trees", "objects", "packs"))
_END = ".json.gz"
_VERSION = 1

Mode = Literal["copy", "mount"]


class StoredFile(NamedTuple):
    """A file; `pack` is its pack's number in the manifest, or -1 for an object of its own, `offset` its first byte."""

    path: str
    size: int
    sha256: str
    pack: int = -1
    offset: int = 0


@dataclass(slots=True)
class Manifest:
    """A data set's manifest.

    Attributes:
        mode: "copy" or "mount".
        packs: SHA-256 and size of each pack.
        files: The files, sorted by path.
    """

    mode: Mode
    packs: list[tuple[str, int]] = field(default_factory=list)
    files: list[StoredFile] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def encode(self) -> bytes:
        """The manifest as it is stored; the same bytes for the same content."""
        document = {"version": _VERSION, "mode": self.mode, "packs": self.packs, "files": self.files}
        return gzip.compress(orjson.dumps(document, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=list), 1, mtime=0)

    @classmethod
    def decode(cls, data: bytes, where: str) -> Manifest:
        """Reads a manifest.

        Raises:
            DataError: It is damaged, or of another version.
        """
        try:
            document = orjson.loads(gzip.decompress(data))
            if document["version"] != _VERSION:
                raise ValueError(document["version"])
            files = [_stored_file(*file) for file in document["files"]]
            packs = [(_text(sha), _number(size)) for sha, size in document["packs"]]
            if document["mode"] not in get_args(Mode):
                raise ValueError(document["mode"])
            return cls(document["mode"], packs, files)
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
            raise DataError(
                "the manifest of a data set can't be read", where=where, next_step="Upload it again"
            ) from error

    def objects(self, dataset: str) -> set[str]:
        """The names of all objects that it needs."""
        if self.mode == "mount":
            return {tree_object(dataset, file.path) for file in self.files}
        own = {OBJECTS + file.sha256 for file in self.files if file.pack < 0}
        return own | {PACKS + sha for sha, _ in self.packs}


def _stored_file(path: object, size: object, sha256: object, pack: object = -1, offset: object = 0) -> StoredFile:
    return StoredFile(_text(path), _number(size), _text(sha256), _number(pack), _number(offset))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _number(value: object) -> int:
    if type(value) is not int:  # true and false are no numbers either
        raise TypeError("no number")
    return value


def dataset_id(files: Iterable[tuple[str, int, str]]) -> str:
    """The ID of the files with these paths, sizes and SHA-256, sorted by path: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path, size, sha in files:
        digest.update(f"{len(path.encode())} {path} {size} {sha}\n".encode())
    return digest.hexdigest()


def manifest_object(dataset: str, mode: Mode) -> str:
    """The name of a data set's manifest."""
    return f"{TREES if mode == 'mount' else MANIFESTS}{dataset}{_END}"


def tree_object(dataset: str, path: str) -> str:
    """The name of a file of a data set that is read through /gcs; a data set that is one file has an empty path."""
    return f"{TREES}{dataset}/{path}" if path else f"{TREES}{dataset}/file"


def dataset_of(manifest: str) -> tuple[str, Mode] | None:
    """A manifest's data set and mode; None for other objects."""
    for folder, mode in ((MANIFESTS, "copy"), (TREES, "mount")):
        name = manifest.removeprefix(folder)
        if name != manifest and name.endswith(_END) and "/" not in name:
            return name.removesuffix(_END), mode  # pyright: ignore[reportReturnType]
    return None
