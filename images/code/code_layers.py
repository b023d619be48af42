"""Turns a project's files into layers, and reuses the layers that exist.

For each bucket, in this order: the layer that was recorded for the same file times and sizes; a layer with the same
diff ID, of the last build or of the target's latest image; else the layer is made.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import BinaryIO

from ...core.metering.meter import MAKING_LAYERS, Item
from ..layers.layer_writer import Layer
from ..pipeline.layer_builder import LayerBuilder
from .buckets import Bucket, hash_bucket, write_bucket
from .previous_image import layers_of_latest
from .state import CodeState

_WORTH_ASKING = 4 * 1024 * 1024
"""Bytes of files: smaller layers are made and sent before the target could say which layers it has."""


class CodeLayers:
    """The code layers of one build.

    Args:
        builder: Makes and stores the layers.
        state: The layers that this machine recorded for the project.
        buckets: The files of each layer.
    """

    def __init__(self, builder: LayerBuilder, state: CodeState, buckets: Sequence[Bucket]) -> None:
        self._builder = builder
        self._state = state
        self._buckets = buckets
        self._remote_layers: Future[dict[str, Layer]] | None = None
        self._layers: list[Layer | Future[Layer]] = []

    def start(self) -> CodeLayers:
        """Starts to make the layers that aren't recorded; returns itself."""
        builder = self._builder
        known = [self._known(bucket) for bucket in self._buckets]
        new = [bucket for bucket, layer in zip(self._buckets, known, strict=True) if layer is None]
        size = sum(_size(bucket) for bucket in new)
        candidates = self._state.layers
        if builder.uploads and size >= _WORTH_ASKING and not candidates:
            self._remote_layers = builder.tasks.send(layers_of_latest, builder.uploads.target)
        # The biggest first: the layer that is made last should be a small one.
        new.sort(key=_size, reverse=True)
        counted = {bucket.title: builder.meters[MAKING_LAYERS].item(_size(bucket)) for bucket in new}
        making = {
            bucket.title: builder.tasks.make(self._find_or_make, bucket, candidates, counted[bucket.title])
            for bucket in new
        }
        self._layers = [layer or making[bucket.title] for bucket, layer in zip(self._buckets, known, strict=True)]
        return self

    def result(self) -> list[Layer]:
        """The layers in the image's order, each in the layout or in the target.

        Raises:
            ImageError: A file can't be read, or changed after it was listed.
        """
        layers = [layer.result() if isinstance(layer, Future) else layer for layer in self._layers]
        self._state.save()
        return layers

    def _known(self, bucket: Bucket) -> Layer | None:
        layer = self._state.layer(bucket)
        if layer is None or not self._is_available(layer):
            return None
        self._builder.report(layer, "reused", time.perf_counter())
        return layer

    def _is_available(self, layer: Layer) -> bool:
        uploads = self._builder.uploads
        return self._builder.has(layer) or (uploads is not None and uploads.knows(layer.digest))

    def _find_or_make(self, bucket: Bucket, candidates: Mapping[str, Layer], counted: Item) -> Layer:
        with counted:
            found = self._find(bucket, candidates)
            return found or self._builder.make(lambda out: self._write(out, bucket, counted))

    def _find(self, bucket: Bucket, candidates: Mapping[str, Layer]) -> Layer | None:
        started = time.perf_counter()
        if self._remote_layers:
            candidates = self._remote_layers.result()
        if not candidates:
            return None
        with self._builder.computing():
            diff_id, racy = hash_bucket(bucket)
        layer = candidates.get(diff_id)
        if layer is None:
            return None
        layer = replace(layer, title=bucket.title)
        uploads = self._builder.uploads
        if not self._is_available(layer) and not (uploads and uploads.has_all([layer])):
            return None
        self._state.remember(bucket, layer, racy)
        self._builder.report(layer, "reused", started)
        return layer

    def _write(self, out: BinaryIO, bucket: Bucket, counted: Item) -> Layer:
        layer, racy = write_bucket(out, bucket, counted.add)
        self._state.remember(bucket, layer, racy)
        return layer


def _size(bucket: Bucket) -> int:
    return sum([file.size for file in bucket.files])
