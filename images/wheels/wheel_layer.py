"""Turns a wheel into a layer without recompressing it: each deflated zip entry becomes a gzip member unchanged.

The layer has the files that `installer` would install, without compiled bytecode. RECORD keeps the wheel's own hashes
(the lock's SHA-256 and each entry's CRC protect the contents); files that are generated or changed here, and those that
the wheel's RECORD doesn't list, are hashed. INSTALLER names this project. There is no direct_url.json and no REQUESTED:
they say how a lock was made, and equal locks must give equal layers.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from installer.records import Hash, RecordEntry
from installer.utils import construct_record_file, fix_shebang

from ..layers import image_paths
from ..layers.decompression import CorruptData
from ..layers.layer_writer import CHUNK, Layer, LayerWriter
from .wheel import Wheel, WheelEntry, open_wheel

STARTS = " (runs {} at every start of Python)"
"""Added to the title of a layer with such files, which every list of the image's layers shows."""
INSTALLER = b"prefect-vertex-training\n"
_MAX_SCRIPT = 16 * 1024 * 1024  # larger files in .data/scripts are binary programs, without a first line to change


def write_wheel_layer(out: BinaryIO, path: Path, filename: str, python: str, title: str) -> Layer:
    """Writes the layer of the wheel at `path` to `out`.

    Args:
        out: Receives the compressed layer.
        path: The wheel's file.
        filename: The wheel's file name; `path` may have another.
        python: Minor version of the image's Python.
        title: The layer's title.

    Raises:
        WheelError: The wheel is corrupt, or has a file that must not be in an image.
    """
    with open_wheel(path, filename, python) as wheel:
        return _WheelCopy(LayerWriter(out), wheel).run(title)


class _WheelCopy:
    def __init__(self, writer: LayerWriter, wheel: Wheel) -> None:
        self._writer = writer
        self._wheel = wheel
        self._records: list[RecordEntry] = []

    def run(self, title: str) -> Layer:
        for name, content in self._wheel.scripts.items():
            self._add(f"{image_paths.VENV}/bin/{name}", content, executable=True)
        for entry in self._wheel.files:
            self._copy(entry)
        if files := ", ".join(self._wheel.startup_files()):
            title += STARTS.format(files)
        dist_info = f"{self._wheel.site_packages}/{self._wheel.dist_info}"
        self._add(f"{dist_info}/INSTALLER", INSTALLER)
        self._records.append(RecordEntry(self._relative(f"{dist_info}/RECORD"), None, None))
        with construct_record_file([("", record) for record in self._records]) as rows:  # pyright: ignore[reportArgumentType]
            self._write(f"{dist_info}/RECORD", rows.read(), executable=False)
        return self._writer.finish(title)

    def _copy(self, entry: WheelEntry) -> None:
        if entry.target.endswith(f"{self._wheel.dist_info}/INSTALLER"):
            return
        if entry.script and entry.info.file_size < _MAX_SCRIPT:
            content = b"".join(self._wheel.blocks(entry, CHUNK))
            with fix_shebang(io.BytesIO(content), image_paths.INTERPRETER) as changed:
                self._add(entry.target, changed.read(), executable=True)
            return
        recorded = entry.record[0] if entry.record else ""
        digest = None if "=" in recorded else hashlib.sha256()  # what isn't a hash says nothing
        try:
            self._copy_blocks(entry, digest.update if digest else None)
        except CorruptData as error:
            raise self._wheel.broken(f"is corrupt: {error}", entry.info.filename) from error
        hash_ = Hash.parse(recorded) if digest is None else _hash(digest.digest())
        self._records.append(RecordEntry(self._relative(entry.target), hash_, entry.info.file_size))

    def _copy_blocks(self, entry: WheelEntry, tee: Callable[[bytes], object] | None) -> None:
        info, path = entry.info, entry.target.lstrip("/")
        if info.compress_type == zipfile.ZIP_DEFLATED:
            deflated = self._wheel.deflated(entry, CHUNK)
            self._writer.add_deflated(path, info.file_size, info.CRC, deflated, executable=entry.executable, tee=tee)
            return
        blocks = _teed(self._wheel.blocks(entry, CHUNK), tee)
        self._writer.add_file(path, info.file_size, blocks, executable=entry.executable)

    def _add(self, target: str, content: bytes, *, executable: bool = False) -> None:
        self._write(target, content, executable=executable)
        hash_ = _hash(hashlib.sha256(content).digest())
        self._records.append(RecordEntry(self._relative(target), hash_, len(content)))

    def _write(self, target: str, content: bytes, *, executable: bool) -> None:
        self._writer.add_file(target.lstrip("/"), len(content), [content], executable=executable)

    def _relative(self, target: str) -> str:
        site = f"{self._wheel.site_packages}/"
        if target.startswith(site):
            return target[len(site) :]
        return posixpath.relpath(target, site)


def _teed(blocks: Iterator[bytes], tee: Callable[[bytes], object] | None) -> Iterator[bytes]:
    for block in blocks:
        if tee:
            tee(block)
        yield block


def _hash(digest: bytes) -> Hash:
    return Hash("sha256", urlsafe_b64encode(digest).decode().rstrip("="))
