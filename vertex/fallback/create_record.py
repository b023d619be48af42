"""The create calls of a request, kept on this machine so that after a crash the next process knows of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ...core.atomic_files import write_atomic
from ...core.security.parsed_text import parse_json
from .request_view import Create


class CreateRecord(Protocol):
    """Remembers create calls; a process that was killed must find what it had added."""

    def creates(self) -> Sequence[Create]:
        """Every call that was added and not removed."""
        ...

    def add(self, create: Create) -> None:
        """Adds a call that is about to be sent; must return only when that is durable."""
        ...

    def remove(self, create: Create) -> None:
        """Removes a call that surely made no job."""
        ...


class CreateFile:
    """The record as a file; a second machine needs one that both can read.

    Args:
        folder: Where it is.
        key: The request's key.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / f"{key}.list.json"

    def creates(self) -> Sequence[Create]:
        """See `CreateRecord`. A damaged file counts as one call at the time of its last change, of an unknown key."""
        try:
            text = self._path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ()
        try:
            return [Create(str(key), str(region), float(at)) for key, region, at in parse_json(text)]
        except (ValueError, TypeError):
            return [Create("", "", self._path.stat().st_mtime)]

    def add(self, create: Create) -> None:
        """See `CreateRecord`.

        Raises:
            StorageError: The disk is full or read-only.
        """
        self._write([*self.creates(), create])

    def remove(self, create: Create) -> None:
        """See `CreateRecord`.

        Raises:
            StorageError: As `add`.
        """
        self._write([each for each in self.creates() if each != create])

    def _write(self, creates: Sequence[Create]) -> None:
        rows = [(each.key, each.region, round(each.at, 3)) for each in creates]
        write_atomic(self._path, json.dumps(rows).encode(), durable=True)
