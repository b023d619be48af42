"""The folder with a replica's code, unpacked from those layers of its image that hold only the working directory.

Unpacking thousands of files takes seconds. So the folder of a job that has ended is kept for the next job whose image
shares layers with it, and only what differs is unpacked: new layers, and those of which the job changed a file.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ....core.errors import ImageError
from ....core.integrity.file_signature import signature
from ....core.integrity.sealed_json import read_sealed, write_sealed
from ....images.oci.image_types import Descriptor
from ..replica.image import Image
from .unpack import unpack_layer

KEPT_FROM = 300
"""Number of files and folders from which on a folder is kept; fewer are unpacked in a moment."""

_FOLDER, _RECORD = "code", "files.json"
_WHITEOUT = ".wh."

_Layers = dict[str, dict[str, list[int]]]
"""For each layer, by its digest, the paths that it made and what they look like: permissions of a folder, the signature
of anything else."""


class NotOnlyCode(Exception):
    """A layer contains files outside the working directory."""


class CodeFolder:
    """A folder for the code of one replica.

    Args:
        code: The folder.
        kept: Where the folder of an earlier job may be kept, on the same file system.
    """

    def __init__(self, code: Path, kept: Path) -> None:
        self._code = code
        self._kept = kept
        self._record = code.with_name(f"{code.name}.{_RECORD}")

    def unpack(self, image: Image, layers: Sequence[Descriptor]) -> None:
        """Unpacks layers, over what the folder has if it exists.

        Raises:
            NotOnlyCode: A layer has files outside the working directory.
            ImageError: A layer can't be unpacked.
            RegistryError: A blob is missing or damaged.
        """
        if self._code.exists():
            _unpack(image, layers, self._code)
            return
        earlier = self._take({layer.digest for layer in layers})
        if not (earlier and self._complete(image, layers, earlier)):
            shutil.rmtree(self._code, ignore_errors=True)
            self._code.mkdir(parents=True)
            self._complete(image, layers, {})

    def keep(self) -> None:
        """Keeps it after the job's end, without what the job wrote; never raises, as it can be made anew."""
        moved = self._code.with_name(f"{self._code.name}.kept")
        with suppress(OSError):
            if layers := _read(self._record):
                whole = _clean(self._code, layers)
                moved.mkdir()
                write_sealed(moved / _RECORD, {"layers": whole})
                self._code.rename(moved / _FOLDER)
                moved.rename(self._kept)  # fails if another job's is kept

    def _take(self, wanted: Collection[str]) -> _Layers:
        """Moves the kept folder here, and returns those of the wanted layers that are whole in it."""
        moved = self._code.with_name(f"{self._code.name}.earlier")
        with suppress(OSError):
            self._kept.rename(moved)
            if layers := _read(moved / _RECORD):
                (moved / _FOLDER).rename(self._code)
                return _clean(self._code, {digest: paths for digest, paths in layers.items() if digest in wanted})
        return {}

    def _complete(self, image: Image, layers: Sequence[Descriptor], whole: _Layers) -> bool:
        """Unpacks the layers that aren't whole; returns whether the order doesn't matter in which that is done."""
        claims = {digest: {path: len(facts) == 1 for path, facts in paths.items()} for digest, paths in whole.items()}
        try:
            claims |= _unpack(image, [layer for layer in layers if layer.digest not in whole], self._code)
        except ImageError:
            if not whole:
                raise
            return False
        if len(claims) < len(layers) or _overlap(claims.values()):
            return False
        if sum(map(len, claims.values())) >= KEPT_FROM:
            found = {digest: {path: _look(self._code / path) for path in paths} for digest, paths in claims.items()}
            write_sealed(self._record, {"layers": found})
        return True


def kept_size(kept: Path) -> int:
    """Bytes of a kept folder; 0 if there is none."""
    layers = _read(kept / _RECORD) or {}
    return sum(facts[0] for paths in layers.values() for facts in paths.values() if len(facts) > 1)


def _unpack(image: Image, layers: Sequence[Descriptor], code: Path) -> dict[str, dict[str, bool]]:
    """Unpacks layers in a folder beside the code's, where it has its path in the image, and moves the result back.

    Returns:
        For each layer the paths in the working directory that it made, and whether these are folders.
    """
    inside = image.working_dir.strip("/")
    claims: dict[str, dict[str, bool]] = {}
    with tempfile.TemporaryDirectory(prefix=".code.", dir=code.parent) as name:
        scratch = Path(name)
        moved = scratch / inside
        moved.parent.mkdir(parents=True, exist_ok=True)
        code.rename(moved)
        for layer in layers:
            paths = claims.setdefault(layer.digest, {})

            def check(path: str, *, is_folder: bool, paths: dict[str, bool] = paths) -> None:
                if path.startswith(f"{inside}/"):
                    _claim(paths, path.removeprefix(f"{inside}/"), is_folder=is_folder)
                elif path != inside and not inside.startswith(f"{path}/"):
                    raise NotOnlyCode

            unpack_layer(image.blobs, layer, scratch, check)
        moved.rename(code)
    return claims


def _claim(paths: dict[str, bool], path: str, *, is_folder: bool) -> None:
    paths[path] = is_folder
    while (path := posixpath.dirname(path)) and path not in paths:
        paths[path] = True


def _overlap(claims: Collection[Mapping[str, bool]]) -> bool:
    """Whether one layer replaces or removes what another one has."""
    known: dict[str, bool] = {}
    for paths in claims:
        for path, is_folder in paths.items():
            clash = path in known and not (is_folder and known[path])
            if clash or posixpath.basename(path).startswith(_WHITEOUT):
                return True
        known |= paths
    return False


def _read(record: Path) -> _Layers | None:
    found: Any = read_sealed(record)
    return found["layers"] if found else None


def _clean(code: Path, layers: _Layers) -> _Layers:
    """Removes what isn't of a layer that is whole; returns the layers that are."""
    whole = {
        digest: paths
        for digest, paths in layers.items()
        if all(_look(code / path) == facts for path, facts in paths.items())
    }
    expected = {path for paths in whole.values() for path in paths}
    for entry in _others(str(code), "", expected):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
    return whole


def _look(path: Path) -> list[int]:
    """Permissions of a folder, the signature of anything else; empty if nothing is there."""
    try:
        status = os.lstat(path)
    except OSError:
        return []
    return [stat.S_IMODE(status.st_mode)] if stat.S_ISDIR(status.st_mode) else signature(status)


def _others(root: str, below: str, expected: Collection[str]) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, at any depth, and not expected; of a folder that isn't, only itself."""
    with os.scandir(f"{root}/{below}") as found:
        entries = list(found)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if path not in expected:
            yield entry
        elif entry.is_dir(follow_symlinks=False):
            yield from _others(root, path, expected)
