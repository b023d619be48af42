"""Copies a base image's layers to the target without storing them here: mounted within a registry, else streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ...core.metering.meter import Item
from ..oci.image_types import Descriptor
from ..oci.target import ImageTarget

if TYPE_CHECKING:
    from .resolve import Base

Action = Literal["reused", "uploaded", "mounted"]
"""What happened to a layer: the target had it, it was sent, or it was linked within the registry."""


def copy_base_layer(base: Base, blob: Descriptor, target: ImageTarget, counted: Item) -> Action:
    """Makes sure that `target` has a layer of `base`; the bytes that travel are counted.

    Raises:
        RegistryError: The base's registry or the target refused.
    """
    if target.has_blob(blob.digest):
        return "reused"
    source = base.source
    if target.mount_blob(blob, source):
        return "mounted"
    target.upload_blob(blob, counted.reading(lambda: source.open_blob(blob.digest)))
    return "uploaded"
