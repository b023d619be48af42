"""Copies an image from one registry to another, by digest: only what is missing there travels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ..core.errors import RegistryError
from ..core.security.parsed_text import parse_json
from .oci.image_types import Descriptor
from .oci.target import ImageTarget

_THREADS = 4


def copy_image(digest: str, source: ImageTarget, target: ImageTarget) -> int:
    """Makes sure that the target has an image; returns the bytes of the layers that were sent.

    Args:
        digest: The image's manifest.
        source: Has the image.
        target: Gets it, without a tag.

    Raises:
        RegistryError: A registry refused, or the source doesn't have the image (then nothing was written).
    """
    if target.head_manifest(digest) is not None:
        return 0
    found = source.get_manifest(digest)
    if found is None:
        raise RegistryError("the image is gone", where=source.reference(digest), next_step="Run again with --refresh")
    descriptor, data = found
    document = parse_json(data)
    blobs = [_descriptor(blob) for blob in (document["config"], *document["layers"])]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="copy") as pool:
        sent = sum(pool.map(partial(_copy_blob, source, target), blobs))
    target.put_manifest(data, descriptor.media_type)
    return sent


def _copy_blob(source: ImageTarget, target: ImageTarget, blob: Descriptor) -> int:
    if target.has_blob(blob.digest):
        return 0
    if target.mount_blob(blob, source):
        return 0
    target.upload_blob(blob, lambda: source.open_blob(blob.digest))
    return blob.size


def _descriptor(blob: dict[str, Any]) -> Descriptor:
    return Descriptor(blob["mediaType"], blob["digest"], blob["size"])
