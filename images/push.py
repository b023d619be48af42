"""Step 4: an image's blobs, then its manifest, then its tags: whole in the target, or not there."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import RegistryError
from .base.copy_layers import Action, bring_base_layer
from .oci.config import TITLE
from .oci.content_tag import image_tag
from .oci.image_types import BuiltImage, Descriptor, LayerReport, Progress
from .oci.layout import OciLayout
from .oci.target import ImageTarget, OpenBody
from .registry.known_blobs import KnownBlobs
from .registry.repository import Repository

if TYPE_CHECKING:
    from .base.resolve import Base

_THREADS = 8
_BLOB_UNKNOWN = frozenset(("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_INVALID"))


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
        target.put_manifest(data, descriptor.media_type, tags, at_once=known.keeps_digests)
    except RegistryError as error:
        if error.code not in _BLOB_UNKNOWN or not known.forget():
            raise
        # A record said that a blob is there, and the registry has cleaned up since.
        reports = _Push(source, target, base, known, progress).blobs(json.loads(data))
        target.put_manifest(data, descriptor.media_type, tags)
    known.keeps_digests = True
    known.save()
    close_ahead(target)
    return replace(image, reference=target.reference(image.digest), layers=reports)


def open_ahead(target: ImageTarget, source: OciLayout, fingerprint: str, cache: Path) -> None:
    """Begins to open the uploads of an edit, if this is likely to become one: a layer and a config.

    So they are open by the time that the target has said that it has no such image. It is likely if this machine
    has pushed there before, and has never made this image; `close_ahead` gives them up.

    Args:
        target: Where the image will be pushed.
        source: This machine's layout.
        fingerprint: Of the image.
        cache: As for `push`.
    """
    if (
        isinstance(target, Repository)
        and source.head_manifest(image_tag(fingerprint)) is None
        and KnownBlobs(target, cache).keeps_digests
    ):
        target.open_ahead(2)


def close_ahead(target: ImageTarget) -> None:
    """Gives up what `open_ahead` opened and nobody used."""
    if isinstance(target, Repository):
        target.close_ahead()


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
        blobs = [_descriptor(blob) for blob in (manifest["config"], *manifest["layers"])]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="push") as pool:
            asked = {blob.digest: pool.submit(self._blob, blob) for blob in blobs if blob.digest not in self.known}
            reports = [asked[blob.digest].result() if blob.digest in asked else self._blob(blob) for blob in blobs]
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

    def _bring(self, blob: Descriptor) -> Action:
        if blob.digest in self.known:
            return "reused"
        if self.base and blob.digest in self.of_base and not self.source.has_blob(blob.digest):
            return bring_base_layer(self.base, blob, self.target)
        if self.target.has_blob(blob.digest):
            return "reused"
        self._send(blob, lambda: self.source.open_blob(blob.digest))
        return "uploaded"

    def _send(self, blob: Descriptor, open_body: OpenBody) -> None:
        if isinstance(self.target, Repository):
            self.target.upload_blob(blob, open_body)  # whether it is there has just been asked
        else:
            self.target.put_blob(blob, open_body)


def _descriptor(blob: dict[str, Any]) -> Descriptor:
    return Descriptor(blob["mediaType"], blob["digest"], blob["size"], blob.get("annotations", {}))
