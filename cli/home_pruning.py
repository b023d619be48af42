"""Removes what the home folder has kept for too long, or beyond its size: what can be made again, never a model."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import TrainingError
from ..core.home import Home
from ..core.integrity.sealed_json import DAMAGED
from ..images.oci.layout import OciLayout
from ..local_vertex.endpoint import store_path
from ..local_vertex.store.store import Store

_DAY = 24 * 3600.0
_GB = 10**9


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept in one folder of the home.

    Attributes:
        title: For people.
        folder: The folder, relative to the home.
        days: Days without use after which an entry is removed.
        limit: Bytes of all entries; above it those that were used longest ago are removed. 0 for no limit.
    """

    title: str
    folder: str
    days: float
    limit: int = 0


KEPT = (
    Kept("environments of local runs", "cache/environments", 30, 20 * _GB),
    Kept("layers of wheels", "cache/layers/wheels", 90, 10 * _GB),
    Kept("records of dependencies", "cache/layers/sets", 90),
    Kept("records of code", "cache/layers/code", 90),
    Kept("unfinished downloads", "cache/layers/downloads", 1),
    Kept("unfinished layers", "cache/layers/scratch", 1),
    Kept("layers of Docker builds", "cache/docker-layers", 90),
    Kept("frozen lists", "cache/locks", 90),
    Kept("built wheels", "cache/built", 90, 5 * _GB),
    Kept("records of bases", "cache/bases", 90),
    Kept("records of registries", "cache/known-blobs", 90),
    Kept("locks of builds", "cache/building", 7),
    Kept("intents of submissions", "cache/intents", 90),
    Kept("contents of projects", "cache/contents", 90),
    Kept("scripts of notebooks", "cache/notebooks", 90),
    Kept("checkouts of killed runs", "cache/sources", 7),
    Kept("local runs that were killed", "cache/verify", 1),
    Kept("unpacked images", "vertex/trees", 30, 20 * _GB),
)
_JOB_DAYS = 7.0
_DAMAGED_DAYS = 7.0
_IMAGE_DAYS = 90.0
_IMAGE_LIMIT = 50 * _GB


@dataclass(frozen=True, slots=True)
class Freed:
    """What was removed of one kind, or would be."""

    title: str
    count: int
    size: int


class HomePruning:
    """One pruning of a home.

    Args:
        home: The home.
        dry_run: Whether to remove nothing and only say what would be.
        now: Seconds since 1970.
    """

    def __init__(self, home: Home, *, dry_run: bool = False, now: float | None = None) -> None:
        self._home = home
        self._dry_run = dry_run
        self._now = time.time() if now is None else now
        self._in_use = _trees_in_use(home)

    def run(self) -> list[Freed]:
        """Removes what is due; returns it by kind, without kinds of which there was nothing."""
        found = [self._folder(kept) for kept in KEPT]
        found += [self._damaged(), self._jobs(), self._images()]
        return [freed for freed in found if freed.count]

    def _folder(self, kept: Kept) -> Freed:
        entries = sorted(_entries(self._home.root / kept.folder), key=_used, reverse=True)
        due: list[tuple[Path, int]] = []
        total = 0
        for path in entries:
            size = _size(path)
            total += size
            is_old = self._now - _used(path) > kept.days * _DAY
            if (is_old or (kept.limit and total > kept.limit)) and path not in self._in_use:
                due.append((path, size))
        return self._remove(kept.title, due)

    def _damaged(self) -> Freed:
        """What was moved aside as damaged, after some days in which a person may look at it."""
        root = self._home.root
        places = [*root.glob(f"*/*{DAMAGED}"), *root.glob(f"*/*/*{DAMAGED}"), *root.glob(f"*/*/*/*{DAMAGED}")]
        buckets = root / "vertex" / "buckets"
        old = [path for path in places if self._now - _used(path) > _DAMAGED_DAYS * _DAY]
        found = [(path, _size(path)) for path in old if not path.is_relative_to(buckets)]
        return self._remove("damaged files that were moved aside", found)

    def _jobs(self) -> Freed:
        """Folders of jobs that ended, or that no store knows any more."""
        live = _live_jobs(self._home)
        if live is None:
            return Freed("", 0, 0)
        folders = [path for path in _entries(self._home.root / "vertex" / "runs") if path.is_dir()]
        old = [path for path in folders if path.name not in live and self._now - _used(path) > _JOB_DAYS * _DAY]
        return self._remove("folders of ended jobs", [(path, _size(path)) for path in old])

    def _images(self) -> Freed:
        """Images of the layout, the ones that were used longest ago first."""
        folder = self._home.root / "images"
        if not (folder / "index.json").exists():
            return Freed("", 0, 0)
        layout = OciLayout(folder, "all")
        count, size = layout.retire(
            before=self._now - _IMAGE_DAYS * _DAY, limit=_IMAGE_LIMIT, dry_run=self._dry_run, now=self._now
        )
        return Freed("images of runs without a registry", count, size)

    def _remove(self, title: str, due: Collection[tuple[Path, int]]) -> Freed:
        count = size = 0
        for path, bytes_ in due:
            if self._dry_run or _removed(path):
                count, size = count + 1, size + bytes_
        return Freed(title, count, size)


def prune_when_due(home: Home) -> None:
    """Prunes the home if that wasn't done for a day; what can't be removed now is left for the next time."""
    marker = home.cache / "pruned"
    with contextlib.suppress(OSError, TrainingError):
        if marker.exists() and time.time() - marker.stat().st_mtime < _DAY:
            return
        marker.touch()
        HomePruning(home).run()


def _entries(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from (path for path in folder.iterdir() if not path.name.endswith(DAMAGED))


def _used(path: Path) -> float:
    """When an entry was last used: the newest time of it and of the files directly in it."""
    times = [0.0]
    with contextlib.suppress(OSError):
        times.append(path.lstat().st_mtime)
        if path.is_dir() and not path.is_symlink():
            times += [entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(path)]
    return max(times)


def _size(path: Path) -> int:
    """Bytes on the disk that are freed with an entry: files with other links elsewhere free nothing."""
    total = 0
    folders = os.walk(path) if path.is_dir() and not path.is_symlink() else [(path.parent, [], [path.name])]
    for folder, _, names in folders:
        for name in names:
            with contextlib.suppress(OSError):
                status = Path(folder, name).lstat()
                total += status.st_size if status.st_nlink == 1 else 0
    return total


def _removed(path: Path) -> bool:
    """Removes an entry; False if it is locked by a running process, or can't be removed."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.suffix == ".lock":
            with path.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        else:
            path.unlink()
    except OSError:
        return False
    return True


def _trees_in_use(home: Home) -> set[Path]:
    links = (home.root / "vertex" / "runs").glob("*/*/*.tree")
    return {Path(os.readlink(link)).parent for link in links if link.is_symlink()}  # noqa: PTH115 - the path of the link's target as written


def _live_jobs(home: Home) -> set[str] | None:
    """The jobs that haven't ended; None if that can't be known now."""
    path = store_path(home)
    if not path.exists():
        return set()
    try:
        store = Store(path, read_only=True)
        try:
            return {record.id for record in store.live()}
        finally:
            store.close()
    except TrainingError:
        return None
