"""Brings a base's layers to a target, past this machine: linked where both lie in one registry, else copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..oci.image_types import Descriptor
from ..oci.target import ImageTarget
from ..registry.repository import Repository

if TYPE_CHECKING:
    from .resolve import Base

Action = Literal["reused", "uploaded", "mounted"]
"""What happened to a layer: nothing, for it was there; it was sent; it was linked."""


def bring_base_layer(base: Base, blob: Descriptor, target: ImageTarget) -> Action:
    """Makes sure that `target` has a layer of `base`.

    Raises:
        RegistryError: One of the two refused.
    """
    if target.has_blob(blob.digest):
        return "reused"
    source = base.source
    if not isinstance(target, Repository):
        target.put_blob(blob, lambda: source.open_blob(blob.digest))
        return "uploaded"
    if isinstance(source, Repository) and source.host == target.host and target.mount_blob(blob, source.repository):
        return "mounted"
    target.upload_blob(blob, lambda: source.open_blob(blob.digest))
    return "uploaded"
