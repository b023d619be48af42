"""Turns a project's files into layers in the store, doing as little as can be.

What is tried, bucket by bucket, in order: this machine's memory of the files' times and sizes; a layer with the same
diff ID, of the last build or of the target's latest image; making it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import BinaryIO

from ..layers.layer_writer import Layer
from ..pipeline.layer_builder import LayerBuilder
from . import buckets as code_layers
from .buckets import Bucket
from .previous_image import layers_of_latest
from .state import CodeState

_WORTH_ASKING = 4 * 1024 * 1024
"""Bytes of files; fewer are made and sent sooner than the target has told which layers it has."""


class CodeLayers:
    """The code layers of one build.

    Args:
        builder: Where layers are made.
        state: This machine's memory of the project.
        buckets: What becomes a layer each.
    """

    def __init__(self, builder: LayerBuilder, state: CodeState, buckets: Sequence[Bucket]) -> None:
        self._builder = builder
        self._state = state
        self._buckets = buckets
        self._earlier: Future[dict[str, Layer]] | None = None
        self._layers: list[Layer | Future[Layer]] = []

    def start(self) -> CodeLayers:
        """Begins to make what isn't known; returns itself."""
        builder = self._builder
        known = [self._known(bucket) for bucket in self._buckets]
        new = [bucket for bucket, layer in zip(self._buckets, known, strict=True) if layer is None]
        size = sum(_size(bucket) for bucket in new)
        candidates = self._state.layers
        if builder.uploads and size >= _WORTH_ASKING and not candidates:
            self._earlier = builder.tasks.send(layers_of_latest, builder.uploads.target)
        # The biggest first: the last one is waited for when nothing else is left to be made, so it had better be short.
        new.sort(key=_size, reverse=True)
        making = {bucket.title: builder.tasks.make(self._find_or_make, bucket, candidates) for bucket in new}
        self._layers = [layer or making[bucket.title] for bucket, layer in zip(self._buckets, known, strict=True)]
        return self

    def result(self) -> list[Layer]:
        """The layers in the image's order, each in the store or in the target.

        Raises:
            ImageError: A file can't be read, or changed meanwhile.
        """
        layers = [layer.result() if isinstance(layer, Future) else layer for layer in self._layers]
        self._state.save()
        return layers

    def _known(self, bucket: Bucket) -> Layer | None:
        layer = self._state.layer(bucket)
        if layer is None or not self._at_hand(layer):
            return None
        self._builder.report(layer, "reused", time.perf_counter())
        return layer

    def _at_hand(self, layer: Layer) -> bool:
        uploads = self._builder.uploads
        return self._builder.has(layer) or (uploads is not None and uploads.knows(layer.digest))

    def _find_or_make(self, bucket: Bucket, candidates: Mapping[str, Layer]) -> Layer:
        return self._find(bucket, candidates) or self._builder.make(lambda out: self._write(out, bucket))

    def _find(self, bucket: Bucket, candidates: Mapping[str, Layer]) -> Layer | None:
        started = time.perf_counter()
        if self._earlier:
            candidates = self._earlier.result()
        if not candidates:
            return None
        with self._builder.computing():
            diff_id, racy = code_layers.hash_bucket(bucket)
        layer = candidates.get(diff_id)
        if layer is None:
            return None
        layer = replace(layer, title=bucket.title)
        uploads = self._builder.uploads
        if not self._at_hand(layer) and not (uploads and uploads.has_all([layer])):
            return None
        self._state.remember(bucket, layer, racy)
        self._builder.report(layer, "reused", started)
        return layer

    def _write(self, out: BinaryIO, bucket: Bucket) -> Layer:
        layer, racy = code_layers.write_bucket(out, bucket)
        self._state.remember(bucket, layer, racy)
        return layer


def _size(bucket: Bucket) -> int:
    return sum([file.size for file in bucket.files])
