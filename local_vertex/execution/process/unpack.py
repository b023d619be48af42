"""Unpacks image layers into a folder, safely even for malicious layers.

Layers are untrusted input. Nothing is written through a link or outside the folder, no devices are created, no link
points outside, and the blob's digest is checked to the last byte before the files are used. Absolute links are relative
to the image's root. Whiteouts follow
https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts.
"""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from ....core.errors import ImageError, storage_errors
from ....images.layers.decompression import CorruptData, decompressed
from ....images.oci.image_types import Descriptor
from ....images.oci.target import ImageTarget

_CORRUPT: tuple[type[Exception], ...] = (
    tarfile.TarError,
    CorruptData,
    EOFError,
    ValueError,
)
_CHUNK = 1 << 20
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"

_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_LONGEST_HEADER = 1024 * 1024
"""Bytes of a header for a long path; `tarfile` would read one of any size into memory."""


class Check(Protocol):
    """Looks at an entry before it is written; its path is relative to the image's root, and has no slash at its end."""

    def __call__(self, path: str, *, is_folder: bool) -> None:
        """Raises what is wrong with it."""


def _anything(path: str, *, is_folder: bool) -> None:
    """Each path may be written."""


class _Member(tarfile.TarInfo):
    """An entry whose headers for long paths have a limit."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a path in it is said to have {self.size:,} bytes")
        return super()._proc_member(archive)  # pyright: ignore[reportAttributeAccessIssue] - not in typeshed


def unpack_layer(source: ImageTarget, layer: Descriptor, root: Path, check: Check = _anything) -> None:
    """Unpacks a layer over the lower layers in `root`.

    Args:
        source: The registry repository or image layout with the blob.
        layer: The layer.
        root: Folder for the image's root; nothing else may write there meanwhile.
        check: Called with each path before it is written.

    Raises:
        ImageError: The layer contains something that must not be unpacked, or can't be read.
        RegistryError: The blob is missing or damaged.
        StorageError: The disk is full.
    """
    unpacker = _Unpacker(root, layer, check)
    with storage_errors(root), _opened(source, layer) as (blob, stream):
        try:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
                for member in archive:
                    unpacker.add(archive, member)
            for rest in (stream, blob):
                while rest.read(_CHUNK):  # to the end, where the digest is checked
                    pass
        except _CORRUPT as error:
            raise unpacker.error(f"can't be read: {error}") from error
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise unpacker.error("has a path or link that is too long for this machine") from error


def first_paths(source: ImageTarget, layer: Descriptor) -> Iterator[str]:
    """The paths in a layer in order, read lazily; the digest is not checked."""
    with _opened(source, layer) as (_, stream):
        try:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
                for member in archive:
                    yield member.name + ("/" if member.isdir() else "")
        except _CORRUPT as error:
            raise _layer_error(layer, f"can't be read: {error}") from error


class _Unpacker:
    def __init__(self, root: Path, layer: Descriptor, check: Check) -> None:
        self._root = root
        self._layer = layer
        self._check = check
        self._own: set[str] = set()
        self._folders: set[str] = set()

    def error(self, problem: str) -> ImageError:
        return _layer_error(self._layer, problem)

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._clean(member.name)
        if not path:
            return  # the root itself
        self._check(path, is_folder=member.isdir())
        folder, name = posixpath.split(path)
        if name.startswith(_WHITEOUT):
            self._whiteout(folder, name)
            return
        self._make_folder(folder)
        self._add_own(path)
        target = self._root / path
        if member.isdir():
            self._add_folder(path, target, member)
        elif member.isreg():
            self._add_file(archive, member, target)
        elif member.issym():
            self._replace(target)
            target.symlink_to(self._link_target(path, member.linkname))
        elif member.islnk():
            self._add_link(path, target, member)
        else:
            raise self.error(f"has a device or pipe, {path!r}")

    def _clean(self, name: str) -> str:
        if "\0" in name or name.startswith("/") or ".." in name.split("/"):
            raise self.error(f"has a path outside the image, {name!r}")
        path = posixpath.normpath(name)
        return "" if path == "." else path

    def _add_own(self, path: str) -> None:
        while path and path not in self._own:
            self._own.add(path)
            path = posixpath.dirname(path)

    def _make_folder(self, folder: str) -> None:
        """Creates a folder and makes sure that no part of its path is a link."""
        if folder in self._folders or not folder:
            return
        parent = posixpath.dirname(folder)
        self._make_folder(parent)
        path = self._root / folder
        try:
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise self.error(f"writes through {folder!r}, which is not a folder")
        except FileNotFoundError:
            path.mkdir()
        self._folders.add(folder)

    def _add_folder(self, path: str, target: Path, member: tarfile.TarInfo) -> None:
        if target.is_symlink() or not target.is_dir():
            self._replace(target)
            target.mkdir()
        target.chmod(member.mode & 0o777 | 0o700)
        self._folders.add(path)

    def _add_file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
        self._replace(target)
        body = archive.extractfile(member)
        assert body is not None
        # 0o777 removes setuid and setgid; 0o600 lets the owner read and remove the file.
        handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, member.mode & 0o777 | 0o600)
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(body, file, _CHUNK)
            os.fchmod(file.fileno(), member.mode & 0o777 | 0o600)

    def _add_link(self, path: str, target: Path, member: tarfile.TarInfo) -> None:
        other = self._clean(member.linkname)
        self._check(other, is_folder=False)
        existing = self._root / other
        if self._passes_link(posixpath.dirname(other)) or not _is_file(existing):
            raise self.error(f"links {path!r} to {other!r}, which is not a file of the image")
        if existing != target:
            self._replace(target)
            os.link(existing, target, follow_symlinks=False)

    def _link_target(self, path: str, link: str) -> str:
        """The relative target of a link, which stays inside the image if the folder is moved.

        Only the text of a link is checked: links through other links are safe, because each of them stays inside.
        """
        folder = posixpath.dirname(path)
        joined = link.lstrip("/") if link.startswith("/") else posixpath.join(folder, link)
        resolved = posixpath.normpath(joined or ".")
        if not link or "\0" in link or resolved == ".." or resolved.startswith("../"):
            raise self.error(f"has a link to a path outside the image, {path!r} to {link!r}")
        return posixpath.relpath(resolved, folder or ".")

    def _whiteout(self, folder: str, name: str) -> None:
        """Removes the files of lower layers there, but not those of this layer."""
        if self._passes_link(folder):
            raise self.error(f"removes through {folder!r}, which is not a folder")
        if name == _OPAQUE:
            target = self._root / folder
            hidden = list(target.iterdir()) if target.is_dir() else []
        else:
            hidden = [self._root / folder / name.removeprefix(_WHITEOUT)]
            if hidden[0].name in {"", ".", ".."}:
                raise self.error(f"has a path outside the image, {name!r}")
        for path in hidden:
            if path.relative_to(self._root).as_posix() not in self._own:
                self._replace(path)

    def _passes_link(self, folder: str) -> bool:
        while folder:
            if (self._root / folder).is_symlink():
                return True
            folder = posixpath.dirname(folder)
        return False

    def _replace(self, target: Path) -> None:
        try:
            if stat.S_ISDIR(target.lstat().st_mode):
                shutil.rmtree(target)
                gone = target.relative_to(self._root).as_posix()
                self._folders = {f for f in self._folders if f != gone and not f.startswith(f"{gone}/")}
            else:
                target.unlink()
        except (FileNotFoundError, NotADirectoryError):  # the latter if a layer removes a path below a file
            pass


@contextmanager
def _opened(source: ImageTarget, layer: Descriptor) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """A layer's blob, and its uncompressed tar; reading the blob to its end checks its digest."""
    if "encrypted" in layer.media_type:
        raise _layer_error(layer, f"can't be read, {layer.media_type}")
    with source.open_blob(layer.digest) as blob:
        yield blob, decompressed(blob)


def _layer_error(layer: Descriptor, problem: str) -> ImageError:
    return ImageError(f"a layer of the image {problem}", where=layer.digest, next_step="Build the image again")


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
