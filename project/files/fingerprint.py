"""A project's fingerprint: one hash of everything in the project that can change its image."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    """Reads `files` with `read_contents` and returns `combine` of what they hold."""
    return combine(read_contents(files, settings.root, cache=cache, clock=clock).tree, settings, extra)


def combine(tree: str, settings: Settings, extra: Mapping[str, str] | None = None) -> str:
    """Hashes the files, the settings that change the image, and `extra`.

    The result is the same on every machine: the project's folder, times, owner, umask and the order of the files
    don't change it.

    Args:
        tree: The digest of the files, from `read_contents`.
        settings: The project's settings.
        extra: Other facts that change the image, by name: the lock's digest, the base's, the builder's version.

    Returns:
        sha256, 64 hexadecimal digits.
    """
    lists: tuple[Iterable[object], ...] = (
        (_VERSION, settings.script, settings.python, settings.base or ""),
        settings.directories,
        (text for item in sorted(settings.env.items()) for text in item),
        (text for item in sorted((extra or {}).items()) for text in item),
        (tree,),
        *_set_only(settings),
    )
    if settings.entry:
        lists = (*lists, ("entry", *settings.entry.typed()))
    return hashlib.sha256(b"".join(map(_line, lists))).hexdigest()


def _set_only(settings: Settings) -> Iterator[Iterable[object]]:
    """Settings that count only where they are set, so that fingerprints from before they existed stay the same."""
    if settings.secret_env:
        yield (
            "secret-env",
            *(text for name in sorted(settings.secret_env) for text in (name, str(settings.secret_env[name]))),
        )
    if settings.outputs:
        yield "outputs", *settings.outputs


def _line(values: Iterable[object]) -> bytes:
    """A list as one line of JSON, which no other list gives."""
    return json.dumps(list(values), ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
