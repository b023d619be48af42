"""The registry as a cache of dependency layers: a tag for each lock, which other machines with the same lock find."""

from __future__ import annotations

import time

from ...core.errors import RegistryError
from ..oci.config import OCI, blob_descriptor, image_config
from ..pipeline.background_uploads import BackgroundUploads
from ..pipeline.layer_builder import LayerBuilder
from .dependency_set import DependencySet, read_set, set_manifest, set_tag, tagged_in


class RegistryCache:
    """The dependency sets that are tagged in one target.

    Args:
        builder: Reports the layers that are reused.
        uploads: Uploads to the target.
        own_layers: How many wheels may have a layer of their own; part of the tag, because it decides the layers.
    """

    def __init__(self, builder: LayerBuilder, uploads: BackgroundUploads, own_layers: int) -> None:
        self._builder = builder
        self._uploads = uploads
        self._target = uploads.target
        self._own_layers = own_layers
        self._name = uploads.target.reference("")

    def find(self, lock: str) -> DependencySet | None:
        """The layers of a lock; None if the target doesn't have all of them.

        Raises:
            RegistryUnavailable: The target can't be asked; transient.
        """
        started = time.perf_counter()
        try:
            answer = self._target.get_manifest(set_tag(lock, self._own_layers))
        except RegistryError as error:
            if error.transient:
                raise
            return None  # some registries refuse to read a repository that doesn't exist yet
        found = read_set(answer[1], lock, self._name) if answer else None
        if found is None or not self._uploads.has_all(layer for _, layer in found.layers):
            return None
        for _, layer in found.layers:
            self._builder.report(layer, "reused", started)
        return found

    def had(self, found: DependencySet) -> bool:
        """Whether the target is recorded to have a set."""
        return self._name in found.targets

    def holds(self, found: DependencySet) -> bool:
        """Whether the target has a set now; one request."""
        return self._target.head_manifest(set_tag(found.lock, self._own_layers)) is not None

    def publish(self, found: DependencySet) -> DependencySet:
        """Sends the layers of a set that the target lacks, and tags the set.

        Raises:
            RegistryError: A layer was refused. A refused tag is not an error: other machines then build the layers.
        """
        if not found.layers or self.had(found):
            return found
        layers = [layer for _, layer in found.layers]
        config = image_config(layers, {})
        descriptor = blob_descriptor(OCI.config, config)
        for future in (self._uploads.send_bytes(descriptor, config), *map(self._uploads.send, layers)):
            future.result()
        try:
            # Concurrently: a machine that finds the tag checks each layer, so a wrong tag only costs time.
            manifest, tag = set_manifest(descriptor, found), set_tag(found.lock, self._own_layers)
            self._target.put_manifest(manifest, OCI.manifest, [tag], concurrently=True)
        except RegistryError as error:
            if error.transient:
                raise
            return found
        return tagged_in(found, self._name)
