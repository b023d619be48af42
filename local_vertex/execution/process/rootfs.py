"""Unpacked images for replicas that run as processes.

An image built without a base ends in layers that hold nothing but its working directory: the project's code. They are
unpacked afresh for every replica, which may write there as it likes. What lies below them (the dependencies, the bulk)
is unpacked once for all images that share it, so a changed line of code costs one small layer; replicas share it and
leave it alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ....core.errors import storage_errors
from ....images.oci.image_types import Descriptor
from ..image import Image
from .interpreter import find_python, make_environment
from .unpack import first_paths, unpack_layer

MAX_BYTES = 20 << 30
"""What unused trees may take together before the longest unused go."""

_USED = "used"  # a file beside the tree; its modification time is when a replica last began to use it


class _Misplaced(Exception):
    """A layer of code holds something else as well."""


@dataclass(frozen=True, slots=True)
class Root:
    """An unpacked image.

    Attributes:
        shared: What all replicas see at `/`.
        working_dir: The image's, as "/app".
        code: The replica's own copy of that folder.
    """

    shared: Path
    working_dir: str
    code: Path


class Trees:
    """The cache of shared trees.

    Args:
        folder: Where they lie.
        in_use: Says which trees replicas are using; those are never removed.
        max_bytes: See `MAX_BYTES`.
    """

    def __init__(self, folder: Path, in_use: Callable[[], Collection[Path]], max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._in_use = in_use
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def unpack(self, image: Image, code: Path) -> Root:
        """Gives a replica its image; blocks while it is unpacked.

        Args:
            image: Without a base.
            code: Becomes the replica's working directory; made anew.

        Raises:
            ImageError: The image can't be unpacked, or needs a Python that isn't here.
            RegistryError: A blob is missing or damaged.
            StorageError: The disk is full.
        """
        python = find_python(image.python)
        shared, own = _split(image)
        try:
            return self._root(image, shared, own, python, code)
        except _Misplaced:
            return self._root(image, image.layers, [], python, code)

    def _root(
        self,
        image: Image,
        shared: Sequence[Descriptor],
        own: Sequence[Descriptor],
        python: Path,
        code: Path,
    ) -> Root:
        tree = self._shared(image, shared, python)
        working_dir = image.working_dir
        with storage_errors(code):
            shutil.rmtree(code, ignore_errors=True)
            below = tree / working_dir.strip("/")
            if working_dir.strip("/") and below.is_dir() and below.resolve().is_relative_to(tree.resolve()):
                shutil.copytree(below, code, symlinks=True)
            else:
                code.mkdir(parents=True)
            if own:
                self._add_code(image, own, code)
        return Root(tree, working_dir, code)

    def _add_code(self, image: Image, layers: Sequence[Descriptor], code: Path) -> None:
        """Unpacks layers that hold only the working directory, beside it, and moves it into place."""
        inside = image.working_dir.strip("/")

        def check(path: str) -> None:
            if not (path == inside or path.startswith(f"{inside}/") or inside.startswith(f"{path}/")):
                raise _Misplaced

        with tempfile.TemporaryDirectory(prefix=".code.", dir=code.parent) as name:
            scratch = Path(name)
            place = scratch / inside
            place.parent.mkdir(parents=True, exist_ok=True)
            code.rename(place)
            for layer in layers:
                unpack_layer(image.source, layer, scratch, check)
            place.rename(code)

    def _shared(self, image: Image, layers: Sequence[Descriptor], python: Path) -> Path:
        facts = json.dumps([str(python), *(layer.digest for layer in layers)])
        home = self._folder / hashlib.sha256(facts.encode()).hexdigest()[:32]
        tree = home / "root"
        with self._locked(home):
            is_new = not tree.is_dir()
            if is_new:
                self._make(image, layers, python, tree)
            (home / _USED).touch()
            if is_new:
                self._make_room(tree)
        return tree

    def _make(self, image: Image, layers: Sequence[Descriptor], python: Path, tree: Path) -> None:
        scratch = tree.with_name("unfinished")
        with storage_errors(tree):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)  # whoever made room may just have removed the tree's folder
            try:
                for layer in layers:
                    unpack_layer(image.source, layer, scratch)
                if image.python:
                    make_environment(scratch, tree, python)
                (tree.parent / "size").write_text(str(_size(scratch)))
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
            scratch.rename(tree)

    @contextmanager
    def _locked(self, home: Path) -> Iterator[None]:
        """One maker of a tree at a time; a file lock too, for whoever was killed may not be quite dead."""
        with self._lock:
            lock = self._locks.setdefault(home.name, threading.Lock())
        with lock, storage_errors(home):
            home.mkdir(parents=True, exist_ok=True)
            with (home / "lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield

    def _make_room(self, new: Path) -> None:
        """Removes the longest unused trees beyond the limit."""
        trees = []
        for used in self._folder.glob(f"*/{_USED}"):
            size = used.with_name("size")
            trees.append((used.stat().st_mtime, int(size.read_text()) if size.exists() else 0, used.parent))
        keep = {new, *self._in_use()}
        left = self._max_bytes
        for _, size, home in sorted(trees, reverse=True):
            left -= size
            if left < 0 and home / "root" not in keep:
                doomed = home.with_name(f"{home.name}.removed")
                home.rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)


def _split(image: Image) -> tuple[Sequence[Descriptor], Sequence[Descriptor]]:
    """The layers to share, and those at the end that seem to hold only the working directory."""
    inside = image.working_dir.strip("/")
    count = len(image.layers)
    while inside and count and _is_code(image, image.layers[count - 1], inside):
        count -= 1
    return image.layers[:count], image.layers[count:]


def _is_code(image: Image, layer: Descriptor, inside: str) -> bool:
    """Whether a layer's first file, and the folders before it, belong to the working directory."""
    for path in first_paths(image.source, layer):
        name = path.rstrip("/").removeprefix("./")
        if not (name == inside or name.startswith(f"{inside}/") or inside.startswith(f"{name}/")):
            return False
        if not path.endswith("/"):
            break
    return True


def _size(tree: Path) -> int:
    return sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(tree) for name in names)
