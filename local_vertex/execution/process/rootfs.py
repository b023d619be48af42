"""Cache of unpacked images, for replicas that run as processes.

The top layers of an image without a base contain only its working directory: the project's code. Every replica gets
its own copy of them, which it may change. The layers below (the dependencies, most of the image) are unpacked once for
all images that share them and are read-only by convention. So a change of the code unpacks one small layer.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ....core.errors import storage_errors
from ....core.integrity.sealed_json import set_aside
from ....core.integrity.tree_record import is_unchanged, record_compiled, record_tree
from ....images.oci.image_types import Descriptor
from ..replica.image import Image
from .code_folder import CodeFolder, NotOnlyCode, kept_size
from .interpreter import Interpreters, make_environment
from .unpack import first_paths, unpack_layer

MAX_BYTES = 20 << 30
"""Size of the cache; above it, the least recently used images are removed."""

_COUNTS = 1000
"""Images for which it is remembered which of their layers are shared."""

_USED = "used"  # a file beside the unpacked image; its modification time is when a replica last started to use it


_KEPT = "kept"  # beside the unpacked image, the code of an earlier replica

_RECORD = "files.json"
"""A file beside the unpacked image; says how its files looked, so that a changed one is noticed before it is run."""


@dataclass(frozen=True, slots=True)
class Rootfs:
    """An unpacked image.

    Attributes:
        shared: The image's root folder, which all replicas share.
        working_dir: The image's working directory, for example "/app".
        code: The replica's own copy of the working directory.
    """

    shared: Path
    working_dir: str
    code: Path


class RootfsCache:
    """The cache of unpacked images.

    Args:
        folder: The folder of the cache.
        in_use: Returns the unpacked images that replicas use; these are never removed.
        max_bytes: See `MAX_BYTES`.
    """

    def __init__(self, folder: Path, in_use: Callable[[], Collection[Path]], max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._in_use = in_use
        self._max_bytes = max_bytes
        self._interpreters = Interpreters()
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._shared_counts: dict[tuple[str, ...], int] = {}

    def unpack(self, image: Image, code: Path) -> Rootfs:
        """Unpacks an image for one replica; blocks meanwhile.

        Args:
            image: An image without a base.
            code: Folder for the replica's working directory; replaced if it exists.

        Raises:
            ImageError: The image can't be unpacked, or needs a Python that this machine doesn't have.
            RegistryError: A blob is missing or damaged.
            StorageError: The disk is full.
        """
        python = self._interpreters.find(image.python)
        layers = (image.working_dir, *(layer.digest for layer in image.layers))
        count = self._shared_counts.get(layers)
        if count is None:
            count = _count_shared(image)
        try:
            found = self._rootfs(image, image.layers[:count], image.layers[count:], python, code)
        except NotOnlyCode:
            count = len(image.layers)
            found = self._rootfs(image, image.layers, [], python, code)
        if len(self._shared_counts) >= _COUNTS:
            self._shared_counts.clear()
        self._shared_counts[layers] = count
        return found

    def was_used(self, tree: Path) -> None:
        """Records what a replica's Python compiled in an unpacked image."""
        if tree.is_dir():
            with self._locked(tree.parent):
                record_compiled(tree, tree.with_name(_RECORD))

    def keep_code(self, tree: Path, code: Path) -> None:
        """Keeps the code of a replica that has ended for the next one over the same unpacked image."""
        CodeFolder(code, tree.with_name(_KEPT)).keep()

    def _rootfs(
        self,
        image: Image,
        shared: Sequence[Descriptor],
        own: Sequence[Descriptor],
        python: Path,
        code: Path,
    ) -> Rootfs:
        tree = self._shared(image, shared, python)
        working_dir = image.working_dir
        with storage_errors(code):
            shutil.rmtree(code, ignore_errors=True)
            below = tree / working_dir.strip("/")
            if working_dir.strip("/") and below.is_dir() and below.resolve().is_relative_to(tree.resolve()):
                shutil.copytree(below, code, symlinks=True)
            if own:
                CodeFolder(code, tree.with_name(_KEPT)).unpack(image, own)
            else:
                code.mkdir(parents=True, exist_ok=True)
        return Rootfs(tree, working_dir, code)

    def _shared(self, image: Image, layers: Sequence[Descriptor], python: Path) -> Path:
        facts = json.dumps([str(python), *(layer.digest for layer in layers)])
        home = self._folder / hashlib.sha256(facts.encode()).hexdigest()[:32]
        tree = home / "root"
        with self._locked(home):
            is_new = not is_unchanged(tree, home / _RECORD)
            if is_new:
                if tree.is_dir():
                    set_aside(tree)
                self._unpack_shared(image, layers, python, tree)
            (home / _USED).touch()
            if is_new:
                self._evict(tree)
        return tree

    def _unpack_shared(self, image: Image, layers: Sequence[Descriptor], python: Path, tree: Path) -> None:
        scratch = tree.with_name("unfinished")
        with storage_errors(tree):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)  # `_evict` in another thread may just have removed the folder
            try:
                for layer in layers:
                    unpack_layer(image.blobs, layer, scratch)
                if image.python:
                    make_environment(scratch, tree, python)
                (tree.parent / "size").write_text(str(_size(scratch)))
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
            scratch.rename(tree)
            record_tree(tree, tree.with_name(_RECORD))

    @contextmanager
    def _locked(self, home: Path) -> Iterator[None]:
        """Lets one thread at a time unpack an image; a file lock too, as a killed service may not have ended yet."""
        with self._lock:
            lock = self._locks.setdefault(home.name, threading.Lock())
        with lock, storage_errors(home):
            home.mkdir(parents=True, exist_ok=True)
            with (home / "lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield

    def _evict(self, new: Path) -> None:
        """Removes the least recently used images above the limit."""
        trees = []
        for used in self._folder.glob(f"*/{_USED}"):
            size = used.with_name("size")
            trees.append((used.stat().st_mtime, _number(size) + kept_size(used.with_name(_KEPT)), used.parent))
        keep = {new, *self._in_use()}
        left = self._max_bytes
        for _, size, home in sorted(trees, reverse=True):
            left -= size
            if left < 0 and home / "root" not in keep:
                doomed = home.with_name(f"{home.name}.removed")
                home.rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)


def _number(size: Path) -> int:
    """The size that was written down; 0 for a missing or damaged file."""
    try:
        return int(size.read_bytes())
    except (OSError, ValueError):
        return 0


def _count_shared(image: Image) -> int:
    """How many layers are to be shared; the last ones are not, which seem to contain only the working directory."""
    inside = image.working_dir.strip("/")
    count = len(image.layers)
    while inside and count and _is_code(image, image.layers[count - 1], inside):
        count -= 1
    return count


def _is_code(image: Image, layer: Descriptor, inside: str) -> bool:
    """Whether a layer's first file, and the folders before it, are in the working directory."""
    for path in first_paths(image.blobs, layer):
        name = path.rstrip("/").removeprefix("./")
        if not (name == inside or name.startswith(f"{inside}/") or inside.startswith(f"{name}/")):
            return False
        if not path.endswith("/"):
            break
    return True


def _size(tree: Path) -> int:
    return sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(tree) for name in names)
