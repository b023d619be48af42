"""Confirms that a registry has an image whole: its manifest, its config and every layer, each asked for now."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ..core.errors import RegistryError
from .oci.content_tag import image_tag
from .oci.documents import manifest_blobs, parse_object
from .oci.image_types import BuiltImage, Descriptor
from .oci.layout import OciLayout
from .registry.known_blobs import KnownBlobs
from .registry.repository import Repository

_THREADS = 32


def confirmed_image(repository: Repository, fingerprint: str, *, layout: OciLayout, cache: Path) -> BuiltImage | None:
    """The image with this content fingerprint, if the registry has all of it now; None if it must be made or sent.

    Where this machine knows the manifest, all questions are asked at once; else the manifest is read first.

    Args:
        repository: The registry's repository.
        fingerprint: The image's content fingerprint.
        layout: This machine's layout, which may know the manifest.
        cache: The folder of records of what the repository has; they are dropped when something is missing there.

    Raises:
        RegistryDenied: The account may not read the repository.
        RegistryUnavailable: The registry can't be asked; transient.
    """
    tag = image_tag(fingerprint)
    expected = _known(layout, tag)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="confirm") as pool:
        manifest = pool.submit(repository.head_manifest, tag)
        asked = _ask(pool, repository, expected[1]) if expected else []
        found = manifest.result()
        if found is None:
            return None
        if expected is None or expected[0] != found.digest:
            blobs = _read(repository, found.digest)
            asked = _ask(pool, repository, blobs) if blobs is not None else None
        whole = asked is not None and all(future.result() for future in asked)
    if not whole:
        KnownBlobs(repository, cache).forget()
        return None
    return BuiltImage(repository.reference(found.digest), found.digest, found.media_type, size=0)


def _known(layout: OciLayout, tag: str) -> tuple[str, list[Descriptor]] | None:
    """The digest and blobs of the image that this machine made for the tag."""
    try:
        found = layout.get_manifest(tag)
        return (found[0].digest, _blobs(found[1], layout.folder)) if found else None
    except RegistryError:  # damaged on this disk
        return None


def _read(repository: Repository, digest: str) -> list[Descriptor] | None:
    """The blobs of an image in the registry; None if its manifest is damaged there."""
    try:
        found = repository.get_manifest(digest)
        return _blobs(found[1], repository) if found else None
    except RegistryError as error:
        if error.transient or error.status:
            raise
        return None


def _blobs(manifest: bytes, where: object) -> list[Descriptor]:
    document = parse_object(manifest, "manifest", where)
    if "layers" not in document:  # an index, of an image that Docker built: the registry answers for its parts
        return []
    config, layers = manifest_blobs(document, where)
    return list({blob.digest: blob for blob in (config, *layers)}.values())


def _ask(pool: ThreadPoolExecutor, repository: Repository, blobs: Sequence[Descriptor]) -> list[Future[bool]]:
    return [pool.submit(_has, repository, blob) for blob in blobs]


def _has(repository: Repository, blob: Descriptor) -> bool:
    size = repository.blob_size(blob.digest)
    return size is not None and size in (-1, blob.size)
