"""Records which layer a bucket of files became, by file times and sizes: most builds need not read any file."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...core.integrity.sealed_json import read_sealed, write_sealed
from ..layers.layer_writer import Layer
from .buckets import FORMAT, Bucket, hash_file


@dataclass(frozen=True, slots=True)
class _Known:
    signature: str
    layer: Layer
    racy: dict[str, str] = field(default_factory=dict)


class CodeState:
    """The recorded layers of one project's last build; a lost or damaged record only costs time."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._path = folder / f"{hashlib.sha256(str(root).encode()).hexdigest()[:32]}.json"
        self._known = self._load()
        self._changed = False

    def layer(self, bucket: Bucket) -> Layer | None:
        """The recorded layer of `bucket`; None if a file has changed since.

        A file that had been touched within two seconds of the recorded scan may have changed since with the same times,
        so its contents are compared.
        """
        known = self._known.get(bucket.title)
        if known is None or known.signature != bucket.signature:
            return None
        if known.racy:
            files = {file.path: file for file in bucket.files}
            if any(hash_file(files[path]) != digest for path, digest in known.racy.items()):
                return None
            still = {path: digest for path, digest in known.racy.items() if path in bucket.racy}
            if still != known.racy:
                self._set(bucket.title, _Known(bucket.signature, known.layer, still))
        return known.layer

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers of the last build by diff ID."""
        return {known.layer.diff_id: known.layer for known in self._known.values()}

    def remember(self, bucket: Bucket, layer: Layer, racy: dict[str, str]) -> None:
        """Records the layer of `bucket`; `racy` has the SHA-256 of the files touched just before the scan."""
        self._set(bucket.title, _Known(bucket.signature, layer, racy))

    def save(self) -> None:
        """Writes the records if they have changed."""
        if self._changed:
            buckets = {title: asdict(known) for title, known in self._known.items()}
            write_sealed(self._path, {"format": FORMAT, "buckets": buckets})

    def _set(self, title: str, known: _Known) -> None:
        self._known[title] = known
        self._changed = True

    def _load(self) -> dict[str, _Known]:
        try:
            state = read_sealed(self._path)
            if state is None or state["format"] != FORMAT:
                return {}
            return {
                title: _Known(item["signature"], Layer(**item["layer"]), item["racy"])
                for title, item in state["buckets"].items()
            }
        except (KeyError, TypeError, AttributeError):  # of another version
            return {}
