"""The registry as the cache of a fresh machine: a lock's layers under a tag, found by whoever has the same lock."""

from __future__ import annotations

import time

from ...core.errors import RegistryError
from ..oci.config import OCI, blob_descriptor, image_config
from ..pipeline.background_uploads import BackgroundUploads
from ..pipeline.layer_builder import LayerBuilder
from .dependency_set import DependencySet, read_set, set_manifest, set_tag, tagged_in


class RegistryCache:
    """The sets in one target.

    Args:
        builder: Hears what is reused.
        uploads: The way to the target.
        alone: How many wheels may have a layer of their own; part of the tag, for it decides the layers.
    """

    def __init__(self, builder: LayerBuilder, uploads: BackgroundUploads, alone: int) -> None:
        self._builder = builder
        self._uploads = uploads
        self._target = uploads.target
        self._alone = alone
        self._name = uploads.target.reference("")

    def find(self, lock: str) -> DependencySet | None:
        """The layers of a lock, if the target has them all.

        Raises:
            RegistryUnavailable: Transient.
        """
        started = time.perf_counter()
        try:
            answer = self._target.get_manifest(set_tag(lock, self._alone))
        except RegistryError as error:
            if error.transient:
                raise
            return None  # some registries refuse to read what doesn't exist yet
        found = read_set(answer[1], lock, self._name) if answer else None
        if found is None or not self._uploads.has_all(layer for _, layer in found.layers):
            return None
        for _, layer in found.layers:
            self._builder.report(layer, "reused", started)
        return found

    def had(self, found: DependencySet) -> bool:
        """Whether the target is known to have had a set."""
        return self._name in found.targets

    def holds(self, found: DependencySet) -> bool:
        """Whether the target still has a set; one request."""
        return self._target.head_manifest(set_tag(found.lock, self._alone)) is not None

    def publish(self, found: DependencySet) -> DependencySet:
        """Sends what the target lacks of a set that lies in the store, and tags it.

        Raises:
            RegistryError: A layer was refused. That the tag was is no error: it only makes another machine build.
        """
        if not found.layers or self.had(found):
            return found
        layers = [layer for _, layer in found.layers]
        config = image_config(layers, {})
        descriptor = blob_descriptor(OCI.config, config)
        for future in (self._uploads.send_bytes(descriptor, config), *map(self._uploads.send, layers)):
            future.result()
        try:
            # At once: whoever finds the tag asks for each layer, so that a false one costs time and nothing else.
            manifest, tag = set_manifest(descriptor, found), set_tag(found.lock, self._alone)
            self._target.put_manifest(manifest, OCI.manifest, [tag], concurrently=True)
        except RegistryError as error:
            if error.transient:
                raise
            return found
        return tagged_in(found, self._name)
