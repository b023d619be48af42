"""Warnings of paths that exist on this machine and not in the cloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

_EVERYWHERE = {(), ("dev",), ("tmp",), ("proc",), ("sys",), ("etc",), ("usr",), ("bin",), ("gcs",)}
"""First parts of paths that every container has."""


def local_path_warnings(texts: Iterable[str], outputs: Path) -> tuple[str, ...]:
    """A warning for each text that names a file or folder of this machine.

    Args:
        texts: Literal texts of the script, and its arguments.
        outputs: The local run's own output folder, which is not reported.
    """
    return tuple(
        f"{path} is on this machine only: put it into the project or a bucket"
        for path in _paths(texts)
        if not path.is_relative_to(outputs) and _is_local(path) and _exists(path)
    )


def _paths(texts: Iterable[str]) -> Iterator[Path]:
    for text in dict.fromkeys(texts):
        if text.startswith("/"):
            yield Path(text)
        elif text.startswith("~/") and (home := _home()):
            yield home / text[2:]


def _is_local(path: Path) -> bool:
    """Whether a path belongs to this machine: it is in the user's home, or in no folder that every container has."""
    home = _home()
    in_home = home is not None and len(home.parts) > 2 and path.is_relative_to(home)
    return in_home or path.parts[1:2] not in _EVERYWHERE


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and a user without an entry in the password database
        return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # longer than a path may be: a text that only looks like one
        return False
