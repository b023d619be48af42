"""Finds out what of a data set is new, before anything is read or sent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..core.background.collection import rarely_collected
from ..core.errors import DataError
from .data_files import DataFile, find_files, hash_file
from .data_index import NOT_IN_BUCKET, PACK, DataIndex, Known
from .manifest import Mode

SMALL = 1 << 20
"""Bytes below which a file goes into a pack."""
MANY_FILES = 2_000
COPY_LIMIT = 10_000_000_000
_HASH_THREADS = 2
_BATCH_FILES = 256
_BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class LocalData:
    """A data set on this machine, as it is declared.

    Attributes:
        name: Its name in the settings.
        path: As declared: where the script opens it, relative to the project or absolute.
        root: Where it lies.
        include: Patterns of its files; empty for all.
        mode: How the job gets it; None lets sizes decide.
    """

    name: str
    path: str
    root: Path
    include: tuple[str, ...] = ()
    mode: Mode | None = None


@dataclass(slots=True)
class Prepared:
    """A data set before its upload.

    Attributes:
        data: As it is declared.
        mode: How the job gets it.
        files: Its files, sorted by path.
        known: What is known of each, in the same order; None for those that must be read.
        index: The index of the last upload.
    """

    data: LocalData
    mode: Mode
    files: list[DataFile]
    known: list[Known | None]
    index: DataIndex

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def new(self) -> list[DataFile]:
        """The files that are not known to be in the bucket."""
        pairs = zip(self.files, self.known, strict=True)
        return [file for file, known in pairs if known is None or known[PACK] == NOT_IN_BUCKET]


@rarely_collected()
def prepare(data: LocalData, bucket: str, cache: Path) -> Prepared:
    """Finds the files and compares them with the last upload; reads none of them.

    Raises:
        DataError: The data set can't be read, or is empty.
    """
    files = find_files(data.root, data.include, data.name)
    mode = data.mode or chosen_mode(files)
    index = DataIndex.load(cache, data.root, bucket, mode, data.include)
    return Prepared(data, mode, files, [index.known(file) for file in files], index)


def chosen_mode(files: list[DataFile]) -> Mode:
    """Many small files are copied to the job's disk, few large ones are read through /gcs."""
    size = sum(file.size for file in files)
    many = len(files) > MANY_FILES or size < len(files) * SMALL
    return "copy" if many and size <= COPY_LIMIT else "mount"


def hash_files(prepared: Prepared, hashed: Callable[[DataFile, Known], None] = lambda *_: None) -> list[Known]:
    """The known facts of all files; those that are new or have changed are read.

    Args:
        prepared: The data set.
        hashed: Called with each file that was read, and its facts.

    Raises:
        DataError: A file can't be read, or changes while it is read.
    """

    def read(batch: list[int]) -> list[tuple[int, str]]:
        return [(i, hash_file(prepared.files[i])) for i in batch]

    facts: list[Known | None] = list(prepared.known)
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        for found in pool.map(read, _batches(prepared)):
            for i, sha in found:
                file = prepared.files[i]
                facts[i] = known = [file.size, file.changed, file.inode, sha, NOT_IN_BUCKET, 0]
                hashed(file, known)
    return [known for known in facts if known is not None]


def _batches(prepared: Prepared) -> list[list[int]]:
    """The files to be read: a large one alone, small ones together, of which each is too little work for a thread."""
    batches: list[list[int]] = []
    size = _BATCH_BYTES
    for i, known in enumerate(prepared.known):
        if known is not None:
            continue
        if size >= _BATCH_BYTES or len(batches[-1]) == _BATCH_FILES:
            batches.append([])
            size = 0
        batches[-1].append(i)
        size += prepared.files[i].size
    return batches


def check_limit(prepared: list[Prepared], limit_gb: float) -> None:
    """Stops before anything is read if there is more data than anybody may have meant.

    Raises:
        DataError: All data sets together are above the limit.
    """
    size = sum(each.size for each in prepared)
    if size <= limit_gb * 1e9:
        return
    largest = max(prepared, key=lambda each: each.size)
    raise DataError(
        f"the data sets are {size / 1e9:,.1f} GB, over the limit of {limit_gb:g} GB; the largest is"
        f" {largest.data.name} with {largest.size / 1e9:,.1f} GB",
        where=largest.data.root,
        next_step=f"Raise data-limit-gb under [tool.vertex-training] to {size / 1e9:.0f} or more, or narrow `include`",
    )
