"""A project's fingerprint: one hash of everything in it that can change its image."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from .contents import read_contents
from .files import ProjectFile
from .settings import Settings

_VERSION = "vertex-training fingerprint 2"


def fingerprint(
    files: Sequence[ProjectFile],
    settings: Settings,
    extra: Mapping[str, str] | None = None,
    *,
    cache: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> str:
    """Reads `files` and hashes them as `combine` does; see there and `read_contents`."""
    return combine(files, read_contents(files, settings.root, cache=cache, clock=clock).digests, settings, extra)


def combine(
    files: Sequence[ProjectFile], digests: Sequence[str], settings: Settings, extra: Mapping[str, str] | None = None
) -> str:
    """Hashes paths, executable bits and contents of `files`, the settings that shape an image, and `extra`.

    The same on any machine: place, times, owner, umask and the order of `files` play no part.

    Args:
        files: As `list_files` returned them.
        digests: Of their contents, in the same order.
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
    lines = [(file.path, file.executable, digest) for file, digest in zip(files, digests, strict=True)]
    _feed(hasher, sorted(lines))
    return hasher.hexdigest()


def _feed(hasher: hashlib._Hash, values: Iterable[object]) -> None:
    """Hashes a list so that no other list gives the same bytes: JSON is prefix-free."""
    hasher.update(json.dumps(list(values), ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
