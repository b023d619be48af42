"""Records of the blobs that a target has, which save asking for them."""

from __future__ import annotations

import json
from pathlib import Path

from ...core.atomic_files import write_atomic
from ..oci.target import ImageTarget

_MAX_RECORDED = 2000
_PRESERVES_DIGESTS = "keeps-digests"


class KnownBlobs:
    """The digests that a target is known to have: this machine's record, wrong only after a registry removed blobs.

    Args:
        target: The target whose blobs are recorded.
        cache: The folder of records; None keeps no record.

    Attributes:
        preserves_digests: Whether the target has stored a manifest under the digest that it was sent with.
    """

    def __init__(self, target: ImageTarget, cache: Path | None) -> None:
        name = target.reference("").rstrip("@").replace("/", "_").replace(":", "_")
        self._path = cache / "known-blobs" / f"{name[-150:]}.json" if cache else None
        self._digests: dict[str, None] = {}
        self._loaded = False
        if self._path:
            try:
                self._digests = dict.fromkeys(json.loads(self._path.read_text()))
                self._loaded = bool(self._digests)
            except (OSError, ValueError):
                pass
        self.preserves_digests = self._digests.pop(_PRESERVES_DIGESTS, "") is None

    def __contains__(self, digest: str) -> bool:
        return digest in self._digests

    def add(self, digest: str) -> None:
        """Records that the target has a blob."""
        self._digests[digest] = None

    def forget(self) -> bool:
        """Removes the record; False if no record had been loaded that could be wrong."""
        self._digests = {}
        self.preserves_digests = False
        if self._path:
            self._path.unlink(missing_ok=True)
        had, self._loaded = self._loaded, False
        return had

    def save(self) -> None:
        """Writes the newest records for the next push."""
        if self._path:
            marker = [_PRESERVES_DIGESTS] if self.preserves_digests else []
            write_atomic(self._path, json.dumps([*marker, *list(self._digests)[-_MAX_RECORDED:]]))
