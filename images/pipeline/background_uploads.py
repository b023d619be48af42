"""What a build sends to its target while it still makes the rest."""

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
from ..base.copy_layers import Action, bring_base_layer
from ..layers.layer_writer import Layer
from ..oci.config import OCI, layer_descriptor
from ..oci.image_types import Descriptor
from ..oci.layout import OciLayout
from ..oci.target import ImageTarget, OpenBody
from ..registry.known_blobs import KnownBlobs
from ..registry.repository import Repository
from .task_group import Crew

if TYPE_CHECKING:
    from ..base.resolve import Base

_UNASKED = 256 * 1024  # bytes below which sending a blob made now costs less than asking for it


class Uploads:
    """The way from the store to one target; threads share it.

    Args:
        crew: Whose threads send.
        store: Where layers lie.
        target: Where they go.
        cache: The folder that remembers what the target has.
    """

    def __init__(self, crew: Crew, store: OciLayout, target: ImageTarget, cache: Path) -> None:
        self.target = target
        self._crew = crew
        self._store = store
        self._known = KnownBlobs(target, cache)
        self._learned = False
        self._lock = threading.Lock()
        self._sent: dict[str, Future[None]] = {}

    def send(self, layer: Layer, then: Callable[[], None] = lambda: None) -> Future[None]:
        """Sends a layer, once, unless the target has it; `then` is called when it is there."""
        with self._lock:
            if layer.digest not in self._sent:
                self._sent[layer.digest] = self._crew.send(self._send, layer, then)
            return self._sent[layer.digest]

    def send_bytes(self, descriptor: Descriptor, data: bytes) -> Future[None]:
        """Sends a blob that is no layer."""
        with self._lock:
            future = self._crew.send(self._put, descriptor, lambda: io.BytesIO(data))
            self._sent[descriptor.digest] = future
            return future

    def send_base(self, base: Base, blob: Descriptor, then: Callable[[Action, float], None]) -> None:
        """Brings a layer of the base; `then` hears what was done, and the seconds that it took."""
        with self._lock:
            self._sent[blob.digest] = self._crew.send(self._bring_base, base, blob, then)

    def knows(self, digest: str) -> bool:
        """Whether the target is known to have a blob; it isn't asked."""
        return digest in self._known

    def has_all(self, layers: Iterable[Layer]) -> bool:
        """Whether the target has these layers; asked side by side."""
        asked = [self._crew.send(self._has, layer.digest) for layer in layers]
        return all(future.result() for future in asked)

    def wait(self) -> None:
        """Waits until all that was sent has arrived.

        Raises:
            RegistryError: The target refused.
            ImageError: A layer was damaged on this disk; transient, for it is removed and gets made anew.
        """
        with self._lock:
            sent = list(self._sent.values())
        for future in as_completed(sent):
            future.result()
        if self._learned:
            self._known.save()

    def _send(self, layer: Layer, then: Callable[[], None]) -> None:
        path = self._store.blob_path(layer.digest)
        try:
            self._put(layer_descriptor(OCI, layer), lambda: path.open("rb"))
        except RegistryError as error:
            if _is_intact(path, layer.digest):
                raise
            # Its other name in the layer cache has the same bytes: a new time makes the cache look at them.
            os.utime(path)
            path.unlink()
            raise ImageError(
                f"the layer of {layer.title} was damaged on this disk and is removed",
                where=path,
                next_step="Run again: it will be made anew",
                transient=True,
            ) from error
        then()

    def _put(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        if descriptor.digest in self._known:
            return
        if isinstance(self.target, Repository) and descriptor.size < _UNASKED:
            self.target.upload_blob(descriptor, open_body)
        else:
            self.target.put_blob(descriptor, open_body)
        self._learn(descriptor.digest)

    def _bring_base(self, base: Base, blob: Descriptor, then: Callable[[Action, float], None]) -> None:
        started = time.perf_counter()
        action: Action = "reused"
        if blob.digest not in self._known:
            action = bring_base_layer(base, blob, self.target)
            self._learn(blob.digest)
        then(action, time.perf_counter() - started)

    def _has(self, digest: str) -> bool:
        if digest in self._known:
            return True
        if not self.target.has_blob(digest):
            return False
        self._learn(digest)
        return True

    def _learn(self, digest: str) -> None:
        self._known.add(digest)
        self._learned = True


def _is_intact(path: Path, digest: str) -> bool:
    with path.open("rb") as file:
        return digest == f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
