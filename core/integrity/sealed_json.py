"""JSON files of our own state with a checksum: a file that was cut, changed or swapped counts as absent.

Such files are records that only save time. One that can't be read is moved aside, so that it can be looked at, and the
caller makes it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from ..atomic_files import write_atomic
from ..security.parsed_text import parse_json

_SEAL = "seal"
DAMAGED = ".damaged"
"""Suffix of files and folders that were found damaged and moved aside."""


def write_sealed(path: Path, document: dict[str, Any]) -> None:
    """Writes a JSON object with its checksum, and with the file's name in the checksum: two files can't be swapped.

    Raises:
        StorageError: The disk is full.
    """
    body = json.loads(json.dumps(document))
    write_atomic(path, json.dumps({**body, _SEAL: _checksum(path, body)}))


def read_sealed(path: Path) -> dict[str, Any] | None:
    """The object in a file of `write_sealed`; None if it is absent, or was damaged and is now moved aside."""
    try:
        document = parse_json(path.read_bytes())
        seal = document.pop(_SEAL)
        if seal == _checksum(path, document):
            return document
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    set_aside(path)
    return None


def set_aside(path: Path) -> Path:
    """Moves a damaged file or folder aside, in place of one that was moved before; returns where it is now."""
    aside = path.with_name(f"{path.name}{DAMAGED}")
    with contextlib.suppress(OSError):
        if aside.is_dir() and not aside.is_symlink():
            import shutil

            shutil.rmtree(aside)
        path.replace(aside)
    return aside


def _checksum(path: Path, document: dict[str, Any]) -> str:
    data = json.dumps([path.name, document], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(data.encode()).hexdigest()
