"""What this machine knows of a data set since its last upload: files with their SHA-256, and where their bytes lie.

It saves reading files that have not changed, as git's index does. A file that was written within the two seconds before
the index may change without a sign, so it is read again. Deleting the index costs time, nothing else.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ..core.atomic_files import write_atomic
from .data_files import DataFile

_VERSION = 1
_RACY = 2_000_000_000  # nanoseconds

Known = list[Any]
"""What is known of one file: a list, as in the index, because making 100,000 objects of another type takes long."""

SIZE, CHANGED, INODE, SHA256, PACK, OFFSET = range(6)
"""The places in `Known`. At `PACK` is the number of a pack in the index, or one of the next two; `OFFSET` is in it."""

OWN_OBJECT = -1
NOT_IN_BUCKET = -2


@dataclass(slots=True)
class DataIndex:
    """The index of one data set in one bucket.

    Attributes:
        path: Its file.
        packs: SHA-256 and size of each pack that is in the bucket.
        files: What is known of each file, by its path.
        dataset: The data set's ID at the last upload; empty before the first.
        saved: When it was saved, nanoseconds since 1970.
    """

    path: Path
    packs: list[tuple[str, int]] = field(default_factory=list)
    files: dict[str, Known] = field(default_factory=dict)
    dataset: str = ""
    saved: int = 0

    @classmethod
    def load(cls, cache: Path, root: Path, bucket: str, mode: str, include: tuple[str, ...]) -> DataIndex:
        """The index of a data set; empty if there is none."""
        key = hashlib.sha256("\0".join([str(root), bucket, mode, *include]).encode()).hexdigest()[:32]
        path = cache / "datasets" / f"{key}.json"
        try:
            document = orjson.loads(path.read_bytes())
            if document["version"] != _VERSION:
                raise ValueError(document["version"])
            packs = [(sha, size) for sha, size in document["packs"]]
            return cls(path, packs, document["files"], document["dataset"], document["saved"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path)

    def known(self, file: DataFile) -> Known | None:
        """What is known of a file that has not changed since."""
        found = self.files.get(file.path)
        if found is None or found[:SHA256] != [file.size, file.changed, file.inode]:
            return None
        return found if file.changed < self.saved - _RACY else None

    def save(self) -> None:
        """Writes the index.

        Raises:
            StorageError: The disk is full.
        """
        self.saved = time.time_ns()
        document = {
            "version": _VERSION,
            "packs": self.packs,
            "files": self.files,
            "dataset": self.dataset,
            "saved": self.saved,
        }
        write_atomic(self.path, orjson.dumps(document))

    def forget_bucket(self) -> None:
        """Keeps the hashes, and forgets where the bytes lie: the bucket lost them."""
        self.packs, self.dataset = [], ""
        for known in self.files.values():
            known[PACK] = NOT_IN_BUCKET
