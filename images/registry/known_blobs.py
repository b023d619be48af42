"""Records of the blobs that a target has, which save asking for them."""

from __future__ import annotations

from pathlib import Path

from ...core.integrity.sealed_json import read_sealed, write_sealed
from ..oci.target import ImageTarget

_MAX_RECORDED = 2000


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
        self.preserves_digests = False
        if self._path and (found := read_sealed(self._path)):
            self._digests = dict.fromkeys(found["digests"])
            self._loaded = bool(self._digests)
            self.preserves_digests = bool(found["preserves_digests"])

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
            recorded = list(self._digests)[-_MAX_RECORDED:]
            write_sealed(self._path, {"digests": recorded, "preserves_digests": self.preserves_digests})
