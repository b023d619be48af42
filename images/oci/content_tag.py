"""Content tags: an image is found by a tag made of the fingerprint of everything that decides what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .image_types import BuiltImage

if TYPE_CHECKING:
    from .target import ImageTarget


LATEST = "latest"
"""The tag of the newest image of a name, for people; and for a machine that has built nothing yet."""


# Part of every fingerprint: raise it when the same request gives another image than before.
_RECIPE = "2"


def image_fingerprint(
    project_fingerprint: str,
    lock_digest: str,
    *,
    base_digest: str,
    builder: str,
    content: Sequence[str] = (),
) -> str:
    """One hash over everything that decides what an image holds: 64 hexadecimal digits.

    Args:
        project_fingerprint: Of the project's files and settings.
        lock_digest: Of the frozen dependencies.
        base_digest: Of the base image as the registry gives it now; empty for none.
        builder: "direct" or "docker".
        content: What else the builder looks at: for Docker `docker_context.context_digest` and each base's digest.
    """
    facts = [_RECIPE, project_fingerprint, lock_digest, base_digest, builder, *content]
    # JSON keeps the borders between facts: ("ab", "c") is not ("a", "bc").
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def image_tag(fingerprint: str) -> str:
    """The tag by which an image of this content is found: `fp-` and 128 bits of the fingerprint."""
    return f"fp-{fingerprint[:32]}"


def find(target: ImageTarget, fingerprint: str) -> BuiltImage | None:
    """The image of this content as `target` confirms it now, by one request; None if it has none.

    Raises:
        RegistryDenied: Who asks may not read there.
        RegistryUnavailable: Transient.
    """
    manifest = target.head_manifest(image_tag(fingerprint))
    if manifest is None:
        return None
    return BuiltImage(target.reference(manifest.digest), manifest.digest, manifest.media_type, size=0)
