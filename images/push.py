"""Pushes an image: its blobs, then its manifest, then its tags, so that the target has it whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import RegistryError
from ..core.metering.meter import UPLOADING, Item, Meter, Meters
from .base.copy_layers import Action, copy_base_layer
from .oci.config import TITLE
from .oci.content_tag import image_tag
from .oci.image_types import BuiltImage, Descriptor, LayerReport, Progress
from .oci.layout import OciLayout
from .oci.target import ImageTarget
from .registry.known_blobs import KnownBlobs

if TYPE_CHECKING:
    from .base.resolve import Base

_THREADS = 8
_BLOB_UNKNOWN = frozenset(("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_INVALID"))
_UPLOADS_OF_AN_EDIT = 2  # one code layer and the config


def push(
    image: BuiltImage,
    source: OciLayout,
    target: ImageTarget,
    *,
    tags: Sequence[str],
    base: Base | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    meters: Meters | None = None,
) -> BuiltImage:
    """Copies an image from the layout to its target, which may be that layout itself.

    Only blobs that the target lacks are sent. Layers of the base are mounted within one registry, else copied once
    without being stored here.

    Args:
        image: The built image.
        source: The layout that has its blobs.
        target: Where it goes.
        tags: The tags that will name it.
        base: Where the base's layers come from.
        cache: Folder for records of blobs that the target has; None asks the target for each blob.
        progress: Called with the report of each layer.
        meters: Where the bytes that are sent are counted.

    Returns:
        The image by its name in the target, with a report for each layer.

    Raises:
        RegistryError: The target refused. Nothing is tagged then; blobs that arrived are not sent again.
    """
    found = source.get_manifest(image.digest)
    if found is None:
        raise RegistryError("the image isn't in the layout", where=image.reference, next_step="Build it again")
    descriptor, data = found
    known = KnownBlobs(target, cache)
    titles = {layer.digest: layer.title for layer in image.layers}
    sent = (meters or Meters())[UPLOADING]
    sending = _BlobPush(source, target, base, known, progress=progress, sent=sent, titles=titles)
    reports = sending.run(json.loads(data))
    try:
        target.put_manifest(data, descriptor.media_type, tags, concurrently=known.preserves_digests)
    except RegistryError as error:
        if error.code not in _BLOB_UNKNOWN or not known.forget():
            raise
        # A blob of the records is gone: the registry has cleaned up since.
        reports = sending.run(json.loads(data))
        target.put_manifest(data, descriptor.media_type, tags)
    known.preserves_digests = True
    known.save()
    target.discard_uploads()
    return replace(image, reference=target.reference(image.digest), layers=reports)


def prepare_uploads(target: ImageTarget, source: OciLayout, fingerprint: str, cache: Path) -> None:
    """Starts to open the uploads that a small edit needs, if this build is likely to be one.

    The uploads are then open by the time the target has said that it doesn't have the image. A build is likely to be
    an edit if this machine has pushed to the target before, and has never made this image. Unused uploads are
    cancelled by `push`, or by `target.discard_uploads()`.

    Args:
        target: Where the image will be pushed.
        source: This machine's layout.
        fingerprint: The image's content fingerprint.
        cache: As for `push`.
    """
    if source.head_manifest(image_tag(fingerprint)) is None and KnownBlobs(target, cache).preserves_digests:
        target.prepare_uploads(_UPLOADS_OF_AN_EDIT)


class _BlobPush:
    """Sends the blobs of one image."""

    def __init__(
        self,
        source: OciLayout,
        target: ImageTarget,
        base: Base | None,
        known: KnownBlobs,
        *,
        progress: Progress | None,
        sent: Meter,
        titles: Mapping[str, str],
    ) -> None:
        self._titles = titles
        self._meter = sent
        self._source = source
        self._target = target
        self._base = base
        self._base_digests = {layer.digest for layer in base.layers} if base else set()
        self._known = known
        self._progress = progress

    def run(self, manifest: dict[str, Any]) -> list[LayerReport]:
        """Makes sure that the target has all blobs; returns a report for each layer, in the manifest's order."""
        blobs = [_descriptor(blob) for blob in (manifest["config"], *manifest["layers"])]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="push") as pool:
            sent = {
                blob.digest: pool.submit(self._send, blob, self._meter.item(blob.size))
                for blob in blobs
                if blob.digest not in self._known
            }
            reports = [
                sent[blob.digest].result() if blob.digest in sent else self._send(blob, self._meter.item(0))
                for blob in blobs
            ]
        return reports[1:]

    def _send(self, blob: Descriptor, counted: Item) -> LayerReport:
        started = time.perf_counter()
        with counted:
            action = self._transfer(blob, counted)
        self._known.add(blob.digest)
        known = self._titles.get(blob.digest, blob.digest[:19])  # Docker's layers have none in the manifest
        title = "base" if blob.digest in self._base_digests else blob.annotations.get(TITLE, known)
        report = LayerReport(title, blob.digest, blob.size, action, time.perf_counter() - started)
        if self._progress and action != "reused":
            self._progress(report)
        return report

    def _transfer(self, blob: Descriptor, counted: Item) -> Action:
        if blob.digest in self._known:
            return "reused"
        if self._base and blob.digest in self._base_digests and not self._source.has_blob(blob.digest):
            return copy_base_layer(self._base, blob, self._target, counted)
        if self._target.has_blob(blob.digest):
            return "reused"
        self._target.upload_blob(blob, counted.reading(lambda: self._source.open_blob(blob.digest)))
        return "uploaded"


def _descriptor(blob: dict[str, Any]) -> Descriptor:
    return Descriptor(blob["mediaType"], blob["digest"], blob["size"], blob.get("annotations", {}))
