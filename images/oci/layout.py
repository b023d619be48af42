"""An OCI image layout: a folder of images, which skopeo, podman and crane can read too.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md. Several images and several
processes share one. Blobs are written atomically; `index.json` changes under a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from ...core.atomic_files import atomic_file, write_atomic
from ...core.errors import RegistryError, storage_errors
from ...core.integrity.sealed_json import set_aside
from ...core.security.parsed_text import parse_json
from .blob_records import BlobRecords
from .documents import descriptor as checked_descriptor
from .documents import manifest_blobs, parse_object
from .image_types import Descriptor
from .reference import DIGEST
from .target import ImageTarget, OpenBody
from .verifying_reader import CHUNK, VerifyingReader, sha256

REF_NAME = "org.opencontainers.image.ref.name"
UNUSED_AFTER = 24 * 3600.0
"""Seconds for which an unused blob is kept: a build in another process may be about to name it in a manifest."""

Entry = dict[str, Any]


class OciLayout:
    """The versions of one named image in a layout folder, by digest and by tag.

    Args:
        folder: The layout's folder, created on first use.
        name: The image's name, which keeps it apart from the others in the folder.
        own: Whether the folder is ours: what is damaged there is moved aside, and made again. A layout of someone else
            is only read.
    """

    def __init__(self, folder: Path, name: str, *, own: bool = True) -> None:
        self.folder = folder.absolute()
        self.name = name
        self._own = own
        self._records = BlobRecords(self.folder / "checked.json")

    def __repr__(self) -> str:
        return f"OciLayout({self.folder}, {self.name})"

    @property
    def host(self) -> str:
        """Empty: no registry serves a layout."""
        return ""

    @property
    def repository(self) -> str:
        """The image's name."""
        return self.name

    def blob_path(self, digest: str) -> Path:
        """The path of a blob, whether or not it exists."""
        return self.folder / "blobs" / "sha256" / _hex(digest)

    def has_blob(self, digest: str) -> bool:
        """Whether the layout has the blob whole; a damaged one is moved aside."""
        path = self.blob_path(digest)
        return self._records.is_intact(path, digest) if self._own else path.is_file()

    def was_stored(self, digest: str) -> None:
        """Records that a blob's file was just written or checked, which spares reading it."""
        self._records.add(self.blob_path(digest), digest)

    def save_records(self) -> None:
        """Keeps what was recorded for other processes."""
        if self._own:
            self._records.save()

    def put_blob(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        """Stores a blob unless the layout has it.

        Raises:
            RegistryError: The bytes don't match the descriptor; nothing is kept.
            StorageError: The disk is full.
        """
        path = self.blob_path(descriptor.digest)
        if self.has_blob(descriptor.digest):
            return
        with (
            VerifyingReader(open_body(), descriptor.digest, descriptor.size, path) as body,
            atomic_file(path) as file,
        ):
            shutil.copyfileobj(body, file, CHUNK)
        self.was_stored(descriptor.digest)

    def upload_blob(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        """As `put_blob`: asking first costs nothing on a disk."""
        self.put_blob(descriptor, open_body)

    def mount_blob(self, descriptor: Descriptor, source: ImageTarget) -> bool:  # noqa: ARG002 - blobs of a layout are shared anyway
        """Whether the layout has the blob: all images in a layout share their blobs."""
        return self.has_blob(descriptor.digest)

    def prepare_uploads(self, count: int) -> None:
        """Does nothing: a layout needs no upload sessions."""

    def discard_uploads(self) -> None:
        """Does nothing: a layout needs no upload sessions."""

    def open_blob(self, digest: str) -> BinaryIO:
        """Opens a blob, to be closed by the caller; reading to its end raises if it was damaged on disk.

        Raises:
            RegistryError: The layout doesn't have it.
        """
        path = self.blob_path(digest)
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise RegistryError("a blob is missing", where=path, next_step="Run again, which makes it again") from error
        aside = (lambda: set_aside(path)) if self._own else None
        return cast("BinaryIO", VerifyingReader(file, digest, None, path, aside))

    def head_manifest(self, tag_or_digest: str) -> Descriptor | None:
        """The manifest that a tag or digest names; None if there is none, or if its blob is gone."""
        wanted = self._ref_name(tag_or_digest)
        for entry in self._entries():
            if _ref_name_of(entry) == wanted and (found := self._listed(entry)) is not None:
                return found
        return None

    def _listed(self, entry: Entry) -> Descriptor | None:
        """The manifest of an entry of the index; None if its blob is gone, or isn't what the entry says."""
        try:
            found = checked_descriptor(entry, self.folder / "index.json")
            size = self.blob_path(found.digest).stat().st_size
        except (RegistryError, OSError):
            return None
        whole = size == found.size and self.has_blob(found.digest)
        return Descriptor(found.media_type, found.digest, found.size) if whole else None

    def get_manifest(self, tag_or_digest: str) -> tuple[Descriptor, bytes] | None:
        """A manifest's descriptor and bytes; None if there is none.

        Raises:
            RegistryError: The bytes were damaged on disk.
        """
        descriptor = self.head_manifest(tag_or_digest)
        if descriptor is None:
            return None
        with self.open_blob(descriptor.digest) as body:
            return descriptor, body.read()

    def is_whole(self, digest: str) -> bool:
        """Whether the layout has the manifest and every blob that it names: files of a folder can get lost."""
        found = self.get_manifest(digest)
        if found is None:
            return False
        try:
            config, layers = manifest_blobs(parse_object(found[1], "manifest", self.folder), self.folder)
        except RegistryError:
            return False
        whole = all(self.has_blob(blob.digest) for blob in (config, *layers))
        self.save_records()
        return whole

    def put_manifest(
        self,
        data: bytes,
        media_type: str,
        tags: Sequence[str] = (),
        *,
        concurrently: bool = False,  # noqa: ARG002 - one update of the index does it
    ) -> Descriptor:
        """Lists an image by its digest and by each tag; tags move from the digest that had them before."""
        descriptor = Descriptor(media_type, sha256(data), len(data))
        path = self.blob_path(descriptor.digest)
        if not self.has_blob(descriptor.digest):
            write_atomic(path, data)
        names = [self._ref_name(descriptor.digest), *(self._ref_name(tag) for tag in tags)]

        def change(entries: list[Entry]) -> list[Entry]:
            kept = [entry for entry in entries if _ref_name_of(entry) not in names]
            return kept + [_entry(descriptor, name) for name in names]

        self._update(change)
        self.save_records()
        return descriptor

    def prune(self, *, now: Callable[[], float] = time.time) -> int:
        """Removes blobs that no listed image uses and that weren't touched for a day; returns the bytes freed."""
        freed = 0
        with self._locked():
            used = self._used()
            for path in (self.folder / "blobs" / "sha256").glob("*"):
                status = path.stat()
                # A blob may be a link to an older file of the layer cache: only ctime tells when it was linked.
                touched = max(status.st_mtime, status.st_ctime)
                if f"sha256:{path.name}" not in used and now() - touched > UNUSED_AFTER:
                    path.unlink(missing_ok=True)
                    freed += status.st_size
        return freed

    def touch(self, digest: str) -> None:
        """Notes that an image was used, for `retire`."""
        with contextlib.suppress(OSError):
            os.utime(self.blob_path(digest))

    def retire(self, *, before: float, limit: int, dry_run: bool, now: float) -> tuple[int, int]:
        """Removes the images of the folder that were used longest ago, whatever their names, and their blobs.

        Args:
            before: Images that were last used before this time are removed, in seconds since 1970.
            limit: Bytes of all images; above it further images are removed.
            dry_run: Whether to remove nothing.
            now: Seconds since 1970.

        Returns:
            The number of images that were removed, or would be, and the bytes of their blobs.
        """
        with self._locked():
            entries = [(entry, found) for entry in self._entries() if (found := self._listed(entry)) is not None]
            images = {found.digest: self._blobs_of(found.digest) for _, found in entries}
            used = {digest: self.blob_path(digest).stat().st_mtime for digest in images}
            kept: dict[str, int] = {}
            gone: set[str] = set()
            for digest in sorted(images, key=lambda digest: used[digest], reverse=True):
                more = {blob: size for blob, size in images[digest].items() if blob not in kept}
                is_recent = now - used[digest] < UNUSED_AFTER
                if not is_recent and (used[digest] < before or sum(kept.values()) + sum(more.values()) > limit):
                    gone.add(digest)
                else:
                    kept |= more
            freed = {blob: size for digest in gone for blob, size in images[digest].items() if blob not in kept}
            if gone and not dry_run:
                left = [entry for entry, found in entries if found.digest not in gone]
                write_atomic(self.folder / "index.json", json.dumps({"schemaVersion": 2, "manifests": left}, indent=1))
                for blob in freed:
                    self.blob_path(blob).unlink(missing_ok=True)
        return len(gone), sum(freed.values())

    def _blobs_of(self, digest: str) -> dict[str, int]:
        """The blobs of an image that are here, with their sizes; its manifest is one of them."""
        try:
            manifest = parse_object(self.blob_path(digest).read_bytes(), "manifest", self.folder)
            config, layers = manifest_blobs(manifest, self.folder)
        except (RegistryError, OSError):
            return {}
        found: dict[str, int] = {}
        for blob in (digest, config.digest, *(layer.digest for layer in layers)):
            with contextlib.suppress(OSError):
                found[blob] = self.blob_path(blob).stat().st_size
        return found

    def reference(self, digest: str) -> str:
        """`oci:FOLDER:NAME@sha256:...`."""
        return f"oci:{self.folder}:{self.name}@{digest}"

    def _ref_name(self, tag_or_digest: str) -> str:
        separator = "@" if tag_or_digest.startswith("sha256:") else ":"
        return f"{self.name}{separator}{tag_or_digest}"

    def _used(self) -> set[str]:
        used: set[str] = set()
        for entry in self._entries():
            if (found := self._listed(entry)) is None:
                continue
            used.add(found.digest)
            try:
                manifest = parse_object(self.blob_path(found.digest).read_bytes(), "manifest", self.folder)
                config, layers = manifest_blobs(manifest, self.folder)
            except (RegistryError, OSError):
                continue
            used |= {blob.digest for blob in (config, *layers)}
        return used

    def _entries(self) -> list[Entry]:
        path = self.folder / "index.json"
        try:
            found = parse_json(path.read_bytes())["manifests"]
            if not isinstance(found, list):
                raise TypeError("no list")
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if self._own:  # every image that it named is made again when it is needed
                set_aside(path)
                return []
            raise RegistryError(
                "the image layout's index can't be read", where=path, next_step="Copy the image there again"
            ) from error
        return [entry for entry in found if isinstance(entry, dict)]

    def _update(self, change: Callable[[list[Entry]], list[Entry]]) -> None:
        with self._locked():
            index = {"schemaVersion": 2, "manifests": change(self._entries())}
            write_atomic(self.folder / "index.json", json.dumps(index, indent=1))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            marker = self.folder / "oci-layout"
            if not marker.exists():
                write_atomic(marker, '{"imageLayoutVersion": "1.0.0"}')
            lock = (self.folder / ".lock").open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _entry(descriptor: Descriptor, name: str) -> Entry:
    return {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
        "annotations": {REF_NAME: name},
    }


def _ref_name_of(entry: Entry) -> object:
    annotations = entry.get("annotations")
    return annotations.get(REF_NAME) if isinstance(annotations, dict) else None


def _hex(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise RegistryError(f"{digest!r} is not a digest", next_step="Give sha256: and 64 hexadecimal digits")
    return digest.removeprefix("sha256:")
