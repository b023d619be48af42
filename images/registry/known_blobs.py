"""What a target is known to have, so that it needn't be asked."""

from __future__ import annotations

import json
from pathlib import Path

from ...core.files import write_atomic
from ..oci.target import ImageTarget

_KEPT = 2000
_KEEPS_DIGESTS = "keeps-digests"


class KnownBlobs:
    """Digests that a target is known to have; a record of one machine, wrong only when a registry removes blobs.

    Args:
        target: Whose blobs.
        cache: The folder of records; None keeps none.

    Attributes:
        keeps_digests: Whether it has shown that it keeps a manifest as it is given.
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
        self.keeps_digests = self._digests.pop(_KEEPS_DIGESTS, "") is None

    def __contains__(self, digest: str) -> bool:
        return digest in self._digests

    def add(self, digest: str) -> None:
        """Records a blob that the target has now."""
        self._digests[digest] = None

    def forget(self) -> bool:
        """Drops the record; False when there was none that could have been wrong."""
        self._digests = {}
        self.keeps_digests = False
        if self._path:
            self._path.unlink(missing_ok=True)
        had, self._loaded = self._loaded, False
        return had

    def save(self) -> None:
        """Keeps the newest ones for the next push."""
        if self._path:
            shown = [_KEEPS_DIGESTS] if self.keeps_digests else []
            write_atomic(self._path, json.dumps([*shown, *list(self._digests)[-_KEPT:]]))
