"""A project's files: which go into the image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """One file that goes into the image.

    Attributes:
        path: Relative to the project, with `/`, valid UTF-8.
        source: Where its bytes lie.
        size: Bytes.
        executable: Whether its owner may execute it.
    """

    path: str
    source: Path
    size: int
    executable: bool
