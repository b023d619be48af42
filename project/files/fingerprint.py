"""A project's fingerprint: one hash of everything in it that can change its image."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ..settings.settings import Settings
from .contents import read_contents
from .project_file import ProjectFile

_VERSION = "vertex-training fingerprint 3"


def fingerprint(
    files: Sequence[ProjectFile],
    settings: Settings,
    extra: Mapping[str, str] | None = None,
    *,
    cache: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> str:
    """Reads `files` and hashes them as `combine` does; see there and `read_contents`."""
    return combine(read_contents(files, settings.root, cache=cache, clock=clock).tree, settings, extra)


def combine(tree: str, settings: Settings, extra: Mapping[str, str] | None = None) -> str:
    """Hashes paths, executable bits and contents of files, the settings that shape an image, and `extra`.

    The same on any machine: place, times, owner, umask and the order of the files play no part.

    Args:
        tree: Of the files, as `read_contents` tells it.
        settings: The project's.
        extra: More that decides the image: the lock's digest, the base's, the builder's version.

    Returns:
        sha256, 64 hexadecimal digits.
    """
    hasher = hashlib.sha256()
    _feed(hasher, (_VERSION, settings.script, settings.python, settings.base or ""))
    _feed(hasher, settings.directories)
    _feed(hasher, (text for item in sorted(settings.env.items()) for text in item))
    _feed(hasher, (text for item in sorted((extra or {}).items()) for text in item))
    _feed(hasher, (tree,))
    return hasher.hexdigest()


def _feed(hasher: hashlib._Hash, values: Iterable[object]) -> None:
    """Hashes a list so that no other list gives the same bytes: JSON is prefix-free."""
    hasher.update(json.dumps(list(values), ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
