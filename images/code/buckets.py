"""Divides the project's files into buckets, one layer each: sources and data apart, each spread by folder.

So an edited line changes one small layer, and a changed data file one of 16 layers of data.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import posixpath
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import BinaryIO

from ...core.errors import ImageError
from ..layers import image_paths
from ..layers.compression import FAST, fast
from ..layers.layer_writer import CHUNK, Layer, LayerWriter
from ..layers.tar_writer import TarWriter
from ..oci.image_types import SourceFile

SOURCE_BUCKETS = 8
DATA_BUCKETS = 16
MAX_LAYERS = SOURCE_BUCKETS + DATA_BUCKETS

_SOURCES = (
    *(".py", ".pyi", ".pyx", ".ipynb", ".sh", ".md", ".rst", ".txt"),
    *(".toml", ".cfg", ".ini", ".conf", ".yaml", ".yml", ".json"),
)
_LARGEST_SOURCE = 1024 * 1024  # a .json above it is data
_RACY = 2 * 10**9  # nanoseconds: the coarsest file times have steps of two seconds (FAT)


FORMAT = f"4 {FAST}"
"""Version of the code layers' bytes; raise it when they change, so that older layers aren't reused."""


_Entry = tuple[str, SourceFile, tuple[int, int, int, int]]
"""A path, the file, and the file's signature."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The files of one code layer.

    Attributes:
        title: "code 3/8" or "data 5/16".
        files: Sorted by path.
        signature: Hash of paths, modes and file status; the same as long as no file was touched.
        racy: Paths of files touched so shortly before the scan that a later change may leave `signature` the same.
    """

    title: str
    files: Sequence[SourceFile]
    signature: str
    racy: frozenset[str]


def split(files: Sequence[SourceFile], now: int) -> list[Bucket]:
    """Divides `files` into buckets; empty buckets are left out.

    Args:
        files: The files in any order.
        now: Nanoseconds since 1970, taken before the files were scanned.

    Raises:
        ImageError: A file is gone, or has a name that a layer can't have.
    """
    buckets: dict[str, list[_Entry]] = {}
    folders: dict[tuple[str, bool], list[_Entry]] = {}
    for file in files:
        path = file.path
        signature = file.signature or _signature(file)
        folder, slash, name = path.rpartition("/")
        is_source = signature[3] <= _LARGEST_SOURCE and name.lower().endswith(_SOURCES)
        entries = folders.get((folder + slash, is_source))
        if entries is None:
            _checked(path)  # checked once for all files of the folder
            entries = folders[folder + slash, is_source] = buckets.setdefault(_bucket(folder, is_source), [])
        elif name[:1] in ("", "."):
            _checked(path)
        entries.append((path, file, signature))
    return [_finished(title, entries, now - _RACY) for title, entries in sorted(buckets.items())]


def write_bucket(
    out: BinaryIO, bucket: Bucket, count: Callable[[int], None] | None = None
) -> tuple[Layer, dict[str, str]]:
    """Writes a bucket's layer to `out`; returns the layer, and the SHA-256 of each racy file.

    Args:
        out: Receives the compressed layer.
        bucket: The files.
        count: Called with the number of bytes that were read.

    Raises:
        ImageError: A file is gone, or changed after it was listed.
    """
    writer = LayerWriter(out, fast)
    hashes = _write_files(writer, bucket, count)
    return writer.finish(bucket.title), hashes


def hash_bucket(bucket: Bucket) -> tuple[str, dict[str, str]]:
    """Computes the diff ID of a bucket's layer without making it; also returns the SHA-256 of each racy file.

    Raises:
        ImageError: As for `write_bucket`.
    """
    writer = TarWriter()
    hashes = _write_files(writer, bucket)
    return writer.finish_tar(), hashes


def hash_file(file: SourceFile) -> str:
    """The SHA-256 of a file's current bytes; empty if it can't be read."""
    digest = hashlib.sha256()
    try:
        with file.source.open("rb") as stream:
            while block := stream.read(CHUNK):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def write_directories(out: BinaryIO, directories: Sequence[str], shared: Sequence[str] = ()) -> Layer:
    """Writes the empty folders that a project asks for, writable for every user: a base may set any user.

    Args:
        out: Receives the layer.
        directories: The folders that the project asks for.
        shared: Folders of the project, "." for its root, that are made writable for every user too.
    """
    writer = LayerWriter(out)
    for directory in sorted({*directories, *shared} - {"."}, key=lambda path: path.split("/")):
        if "." in shared:
            writer.add_directory(image_paths.APP.lstrip("/"), 0o777)
        writer.add_directory(posixpath.join(image_paths.APP, _checked(directory)).lstrip("/"), 0o777)
    if "." in shared:
        writer.add_directory(image_paths.APP.lstrip("/"), 0o777)
    return writer.finish("folders")


def folders_of(files: Sequence[SourceFile]) -> list[str]:
    """Every folder of the project that has files, "." for its root, sorted."""
    found = {"."}
    for folder in {file.path.rpartition("/")[0] for file in files}:
        here = folder
        while here and here not in found:
            found.add(here)
            here = here.rpartition("/")[0]
    return sorted(found)


def _finished(title: str, entries: list[_Entry], settled: int) -> Bucket:
    entries.sort(key=itemgetter(0))
    seen = [(path, file.executable, signature) for path, file, signature in entries]
    racy = frozenset(path for path, _, times in entries if times[0] > settled or times[1] > settled)
    state = hashlib.sha256(marshal.dumps(seen, 2))  # version 2 has one form for one value
    return Bucket(title, [file for _, file, _ in entries], state.hexdigest(), racy)


def _signature(file: SourceFile) -> tuple[int, int, int, int]:
    try:
        stat = os.stat(file.location)  # noqa: PTH116 - three times as fast as Path.stat, once a file
    except OSError as error:
        raise _unreadable(file, error) from error
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size


def _bucket(folder: str, is_source: bool) -> str:
    kind, count = ("code", SOURCE_BUCKETS) if is_source else ("data", DATA_BUCKETS)
    return f"{kind} {zlib.crc32(folder.encode()) % count + 1}/{count}"


def _write_files(writer: TarWriter, bucket: Bucket, count: Callable[[int], None] | None = None) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for file in bucket.files:
        _write_file(writer, file, hashes if file.path in bucket.racy else None, count)
    return hashes


def _write_file(
    writer: TarWriter, file: SourceFile, hashes: dict[str, str] | None, count: Callable[[int], None] | None
) -> None:
    digest = hashlib.sha256() if hashes is not None else None
    try:
        opened = os.open(file.location, os.O_RDONLY | os.O_CLOEXEC)  # faster than file objects
        try:
            stat, listed = os.fstat(opened), file.signature
            # The inode's time is left out: a new link or mode changes it without changing the contents.
            if listed and (stat.st_mtime_ns, stat.st_ino, stat.st_size) != (listed[0], listed[2], listed[3]):
                raise _changed(file)
            path = f"{image_paths.APP}/{file.path}".lstrip("/")
            blocks = _blocks(opened, file, stat.st_size, digest.update if digest else None, count)
            writer.add_file(path, stat.st_size, blocks, executable=file.executable)
        finally:
            os.close(opened)
    except OSError as error:
        raise _unreadable(file, error) from error
    if hashes is not None and digest is not None:
        hashes[file.path] = digest.hexdigest()


def _blocks(
    opened: int,
    file: SourceFile,
    left: int,
    tee: Callable[[bytes], object] | None,
    count: Callable[[int], None] | None,
) -> Iterator[bytes]:
    while left:
        block = os.read(opened, min(CHUNK, left))
        if not block:
            raise _changed(file)
        left -= len(block)
        if tee:
            tee(block)
        if count:
            count(len(block))
        yield block


def _checked(path: str) -> str:
    """The path, if a layer can have it: inside the project, and no whiteout (deletes a file of the layers below)."""
    parts = path.split("/")
    if path.startswith("/") or not {"", ".", ".."}.isdisjoint(parts):
        raise ImageError(f"{path!r} is outside the project", next_step="Use a path relative to the project")
    if ".wh." in path and any(part.startswith(".wh.") for part in parts):
        raise ImageError(f"{path!r} can't be in an image: names with .wh. delete files there", next_step="Rename it")
    return path


def _changed(file: SourceFile) -> ImageError:
    """The error for a file that changed after it was listed: the image's fingerprint is that of the listed files."""
    return ImageError(
        f"{file.path} changed while the image was built",
        where=file.source,
        next_step="Run again when nothing writes there",
    )


def _unreadable(file: SourceFile, error: OSError) -> ImageError:
    return ImageError(
        f"can't read {file.path}: {(error.strerror or 'error').lower()}",
        where=file.source,
        next_step="Make it readable, or exclude it from the image",
    )
