"""Content tags: an image is found by a tag made from the fingerprint of everything that decides its contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .image_types import BuiltImage

if TYPE_CHECKING:
    from .target import ImageTarget


LATEST = "latest"
"""The tag of the newest image, for people, and for a machine that has built nothing yet."""


# Part of every fingerprint, by builder: raise it when equal requests give another image than before.
_FORMAT_VERSIONS = {"direct": "4", "docker": "2"}


def image_fingerprint(
    project_fingerprint: str,
    lock_digest: str,
    *,
    base_digest: str,
    builder: str,
    content: Sequence[str] = (),
) -> str:
    """A hash of everything that decides an image's contents: 64 hexadecimal digits.

    Args:
        project_fingerprint: Hash of the project's files and settings.
        lock_digest: Hash of the frozen dependencies.
        base_digest: The base image's current digest; empty for an image without a base.
        builder: "direct" or "docker".
        content: What else the builder uses: for Docker the digest of the context and of each base.
    """
    facts = [_FORMAT_VERSIONS[builder], project_fingerprint, lock_digest, base_digest, builder, *content]
    # JSON keeps facts apart: ("ab", "c") is not ("a", "bc").
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def image_tag(fingerprint: str) -> str:
    """The content tag of an image: `fp-` and 128 bits of the fingerprint."""
    return f"fp-{fingerprint[:32]}"


def find_image(target: ImageTarget, fingerprint: str) -> BuiltImage | None:
    """The image with this content fingerprint, by one request; None if the target doesn't have it now.

    Raises:
        RegistryDenied: The account may not read the repository.
        RegistryUnavailable: The registry can't be asked; transient.
    """
    manifest = target.head_manifest(image_tag(fingerprint))
    if manifest is None:
        return None
    return BuiltImage(target.reference(manifest.digest), manifest.digest, manifest.media_type, size=0)
