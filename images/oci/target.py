"""A place where images can lie: what a registry and an image layout have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

from .image_types import Descriptor

OpenBody = Callable[[], BinaryIO]
"""Opens a blob's bytes from their beginning; called again for every attempt."""


class ImageTarget(Protocol):
    """Blobs by digest, manifests by digest or tag. Threads may share one."""

    def has_blob(self, digest: str) -> bool:
        """Whether the blob is there."""
        ...

    def put_blob(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        """Makes sure that the blob is there; its size and digest are checked."""
        ...

    def mount_blob(self, descriptor: Descriptor, source_repository: str) -> bool:
        """Links the blob from another repository of the same registry; False where that can't be done."""
        ...

    def open_blob(self, digest: str) -> BinaryIO:
        """Opens the blob, to be closed by the caller; reading to its end raises if it isn't what the digest says."""
        ...

    def head_manifest(self, tag_or_digest: str) -> Descriptor | None:
        """What a tag points to, or that a digest is there; None if not."""
        ...

    def get_manifest(self, tag_or_digest: str) -> tuple[Descriptor, bytes] | None:
        """The manifest's bytes, checked; None if it isn't there."""
        ...

    def put_manifest(
        self, data: bytes, media_type: str, tags: Sequence[str] = (), *, at_once: bool = False
    ) -> Descriptor:
        """Makes an image visible, after its blobs: by digest and then by each tag; `at_once` in no order."""
        ...

    def delete_manifest(self, tag_or_digest: str) -> None:
        """Removes an image; no error if it isn't there."""
        ...

    def reference(self, digest: str) -> str:
        """The image's name by digest."""
        ...
