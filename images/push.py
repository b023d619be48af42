"""Step 4: an image's blobs, then its manifest, then its tags: whole in the target, or not there."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import RegistryError
from ..core.files import write_atomic
from .config import TITLE
from .layout import OciLayout
from .model import BuiltImage, Descriptor, LayerReport, Progress
from .registry import Repository
from .target import ImageTarget, OpenBody

if TYPE_CHECKING:
    from .base import Base

_THREADS = 8
_BLOB_UNKNOWN = frozenset(("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_INVALID"))
_KEPT = 2000


def push(
    image: BuiltImage,
    source: OciLayout,
    target: ImageTarget,
    *,
    tags: Sequence[str],
    base: Base | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> BuiltImage:
    """Brings an image from the layout to its target, which may be that layout itself.

    Only blobs that the target lacks travel. Layers of the base are linked where it lies in the same registry, else
    copied once, streaming, without being kept here.

    Args:
        image: As built.
        source: Where its own blobs lie.
        target: Where it has to be.
        tags: Names that will point to it.
        base: Where the base's layers come from.
        cache: Folder for records of blobs that a target has, which spare asking for them; None asks for each.
        progress: Hears of each layer.

    Returns:
        The image by its name in the target, with what happened to each layer.

    Raises:
        RegistryError: Nothing is tagged then; blobs that arrived are not sent again.
    """
    found = source.get_manifest(image.digest)
    if found is None:
        raise RegistryError("the image isn't in the layout", where=image.reference, next_step="Build it again")
    descriptor, data = found
    known = KnownBlobs(target, cache)
    reports = _Push(source, target, base, known, progress).blobs(json.loads(data))
    try:
        target.put_manifest(data, descriptor.media_type, tags)
    except RegistryError as error:
        if error.code not in _BLOB_UNKNOWN or not known.forget():
            raise
        # A record said that a blob is there, and the registry has cleaned up since.
        reports = _Push(source, target, base, known, progress).blobs(json.loads(data))
        target.put_manifest(data, descriptor.media_type, tags)
    known.save()
    return replace(image, reference=target.reference(image.digest), layers=reports)


class KnownBlobs:
    """Digests that a target is known to have; a record of one machine, wrong only when a registry removes blobs.

    Args:
        target: Whose blobs.
        cache: The folder of records; None keeps none.
    """

    def __init__(self, target: ImageTarget, cache: Path | None) -> None:
        name = target.reference("").rstrip("@").replace("/", "_").replace(":", "_")
        self._path = cache / "known-blobs" / f"{name[-150:]}.json" if cache else None
        self._digests: dict[str, None] = {}
        self._loaded = False
        if self._path:
            try:
                self._digests = dict.fromkeys(json.loads(self._path.read_text()))
                self._loaded = bool(self._digests)
            except (OSError, ValueError):
                pass

    def __contains__(self, digest: str) -> bool:
        return digest in self._digests

    def add(self, digest: str) -> None:
        """Records a blob that the target has now."""
        self._digests[digest] = None

    def forget(self) -> bool:
        """Drops the record; False when there was none that could have been wrong."""
        self._digests = {}
        if self._path:
            self._path.unlink(missing_ok=True)
        had, self._loaded = self._loaded, False
        return had

    def save(self) -> None:
        """Keeps the newest ones for the next push."""
        if self._path:
            write_atomic(self._path, json.dumps(list(self._digests)[-_KEPT:]))


class _Push:
    """One push's blobs."""

    def __init__(
        self,
        source: OciLayout,
        target: ImageTarget,
        base: Base | None,
        known: KnownBlobs,
        progress: Progress | None,
    ) -> None:
        self.source = source
        self.target = target
        self.base = base
        self.of_base = {layer.digest for layer in base.layers} if base else set()
        self.known = known
        self.progress = progress

    def blobs(self, manifest: dict[str, Any]) -> list[LayerReport]:
        """Makes sure that all are there; returns a report a layer, in the manifest's order."""
        blobs = [manifest["config"], *manifest["layers"]]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="push") as pool:
            reports = list(pool.map(self._blob, map(_descriptor, blobs)))
        return reports[1:]

    def _blob(self, blob: Descriptor) -> LayerReport:
        begin = time.perf_counter()
        action = self._bring(blob)
        self.known.add(blob.digest)
        title = "base" if blob.digest in self.of_base else blob.annotations.get(TITLE, blob.digest[:19])
        report = LayerReport(title, blob.digest, blob.size, action, time.perf_counter() - begin)
        if self.progress and action != "reused":
            self.progress(report)
        return report

    def _bring(self, blob: Descriptor) -> Literal["reused", "uploaded", "mounted"]:
        if blob.digest in self.known:
            return "reused"
        if self.base and blob.digest in self.of_base and not self.source.has_blob(blob.digest):
            return self._bring_of_base(self.base, blob)
        if self.target.has_blob(blob.digest):
            return "reused"
        self._send(blob, lambda: self.source.open_blob(blob.digest))
        return "uploaded"

    def _bring_of_base(self, base: Base, blob: Descriptor) -> Literal["reused", "uploaded", "mounted"]:
        if self.target.has_blob(blob.digest):
            return "reused"
        source, target = base.source, self.target
        if (
            isinstance(source, Repository)
            and isinstance(target, Repository)
            and source.host == target.host
            and target.mount_blob(blob, source.repository)
        ):
            return "mounted"
        self._send(blob, lambda: base.source.open_blob(blob.digest))
        return "uploaded"

    def _send(self, blob: Descriptor, open_body: OpenBody) -> None:
        if isinstance(self.target, Repository):
            self.target.upload_blob(blob, open_body)  # whether it is there has just been asked
        else:
            self.target.put_blob(blob, open_body)


def _descriptor(blob: dict[str, Any]) -> Descriptor:
    return Descriptor(blob["mediaType"], blob["digest"], blob["size"], blob.get("annotations", {}))
