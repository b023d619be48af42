"""The protocol that a registry repository and an OCI image layout share: a place that stores images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

from .image_types import Descriptor

OpenBody = Callable[[], BinaryIO]
"""Opens a blob's bytes from their beginning; called again for every attempt."""


class ImageTarget(Protocol):
    """A store of blobs by digest and of manifests by digest or tag; safe to share between threads.

    Callers never ask which class a target is: where a registry and a layout differ, the protocol has a method that
    each answers in its own way.
    """

    @property
    def host(self) -> str:
        """The registry's host; empty for a layout on this machine's disk."""
        ...

    @property
    def repository(self) -> str:
        """The repository's path below the host; in a layout, the image's name."""
        ...

    def has_blob(self, digest: str) -> bool:
        """Whether the target has the blob."""
        ...

    def put_blob(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        """Stores a blob unless the target has it; size and digest are checked."""
        ...

    def upload_blob(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        """Stores a blob that the target doesn't have as far as the caller knows: `put_blob` without the question."""
        ...

    def mount_blob(self, descriptor: Descriptor, source: ImageTarget) -> bool:
        """Links a blob of another repository in the same registry; False where that isn't possible."""
        ...

    def open_blob(self, digest: str) -> BinaryIO:
        """Opens a blob, to be closed by the caller; reading to its end raises if the digest is wrong."""
        ...

    def prepare_uploads(self, count: int) -> None:
        """Starts to open `count` uploads before it is known what they will carry, and returns at once."""
        ...

    def discard_uploads(self) -> None:
        """Starts to cancel prepared uploads that weren't used, and returns at once."""
        ...

    def head_manifest(self, tag_or_digest: str) -> Descriptor | None:
        """The manifest that a tag or digest names; None if there is none."""
        ...

    def get_manifest(self, tag_or_digest: str) -> tuple[Descriptor, bytes] | None:
        """A manifest's descriptor and bytes, checked; None if there is none."""
        ...

    def put_manifest(
        self, data: bytes, media_type: str, tags: Sequence[str] = (), *, concurrently: bool = False
    ) -> Descriptor:
        """Publishes an image whose blobs are there: by digest, then by each tag, or all `concurrently`."""
        ...

    def reference(self, digest: str) -> str:
        """The image's name by digest."""
        ...
