"""Uploads of a build's finished layers to the target, while other layers are still made."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import ImageError, RegistryError
from ...core.metering.meter import Item, Meter
from ..base.copy_layers import Action, copy_base_layer
from ..layers.layer_writer import Layer
from ..oci.config import OCI, layer_descriptor
from ..oci.image_types import Descriptor
from ..oci.layout import OciLayout
from ..oci.target import ImageTarget, OpenBody
from ..registry.known_blobs import KnownBlobs
from .task_group import TaskGroup

if TYPE_CHECKING:
    from ..base.resolve import Base

_UPLOAD_UNASKED = 256 * 1024  # bytes below which sending a new blob costs less than asking whether it exists


class BackgroundUploads:
    """Uploads from the layout to one target; safe to share between threads.

    Args:
        tasks: Runs the uploads.
        store: The layout that has the layers.
        target: Where they go.
        cache: The folder of records of what the target has.
        sent: Where the bytes that are sent are counted.
    """

    def __init__(self, tasks: TaskGroup, store: OciLayout, target: ImageTarget, cache: Path, sent: Meter) -> None:
        self.target = target
        self._tasks = tasks
        self._store = store
        self._known = KnownBlobs(target, cache)
        self._has_news = False
        self._lock = threading.Lock()
        self._meter = sent
        self._sent: dict[str, Future[None]] = {}

    def send(self, layer: Layer, then: Callable[[], None] = lambda: None) -> Future[None]:
        """Sends a layer once, unless the target has it; calls `then` when it has arrived."""
        with self._lock:
            if layer.digest not in self._sent:
                self._sent[layer.digest] = self._tasks.send(self._send, layer, self._meter.item(layer.size), then)
            return self._sent[layer.digest]

    def send_bytes(self, descriptor: Descriptor, data: bytes) -> Future[None]:
        """Sends a blob that isn't a layer."""
        with self._lock:
            counted = self._meter.item(descriptor.size)
            future = self._tasks.send(self._put, descriptor, lambda: io.BytesIO(data), counted)
            self._sent[descriptor.digest] = future
            return future

    def send_base(self, base: Base, blob: Descriptor, then: Callable[[Action, float], None]) -> None:
        """Copies a layer of the base; calls `then` with what happened and the seconds it took."""
        with self._lock:
            counted = self._meter.item(blob.size)
            self._sent[blob.digest] = self._tasks.send(self._copy_base, base, blob, counted, then)

    def knows(self, digest: str) -> bool:
        """Whether the target is known to have a blob, without asking it."""
        return digest in self._known

    def has_all(self, layers: Iterable[Layer]) -> bool:
        """Whether the target has all of these layers; asks for them concurrently."""
        asked = [self._tasks.send(self._has, layer.digest) for layer in layers]
        return all(future.result() for future in asked)

    def wait(self) -> None:
        """Waits until all uploads have finished.

        Raises:
            RegistryError: The target refused.
            ImageError: A layer was damaged on this disk. It is removed and will be made again: transient.
        """
        with self._lock:
            sent = list(self._sent.values())
        for future in as_completed(sent):
            future.result()
        if self._has_news:
            self._known.save()

    def _send(self, layer: Layer, counted: Item, then: Callable[[], None]) -> None:
        path = self._store.blob_path(layer.digest)
        try:
            self._put(layer_descriptor(OCI, layer), lambda: path.open("rb"), counted)
        except RegistryError as error:
            if _is_intact(path, layer.digest):
                raise
            # The layer cache has a link to the same bytes: a new modification time makes it check them.
            os.utime(path)
            path.unlink()
            raise ImageError(
                f"the layer of {layer.title} was damaged on this disk and has been removed",
                where=path,
                next_step="Run again: it will be made again",
                transient=True,
            ) from error
        then()

    def _put(self, descriptor: Descriptor, open_body: OpenBody, counted: Item) -> None:
        with counted:
            if descriptor.digest in self._known:
                return
            if descriptor.size < _UPLOAD_UNASKED:
                self.target.upload_blob(descriptor, counted.reading(open_body))
            else:
                self.target.put_blob(descriptor, counted.reading(open_body))
            self._record(descriptor.digest)

    def _copy_base(self, base: Base, blob: Descriptor, counted: Item, then: Callable[[Action, float], None]) -> None:
        started = time.perf_counter()
        action: Action = "reused"
        with counted:
            if blob.digest not in self._known:
                action = copy_base_layer(base, blob, self.target, counted)
                self._record(blob.digest)
        then(action, time.perf_counter() - started)

    def _has(self, digest: str) -> bool:
        if digest in self._known:
            return True
        if not self.target.has_blob(digest):
            return False
        self._record(digest)
        return True

    def _record(self, digest: str) -> None:
        self._known.add(digest)
        self._has_news = True


def _is_intact(path: Path, digest: str) -> bool:
    with path.open("rb") as file:
        return digest == f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
