"""Reads the files that replicas write their output to into the store."""

from __future__ import annotations

import traceback
from pathlib import Path

from ....core.errors import StorageError
from ..replica.log_stream import LogStream

_CHUNK = 1 << 20


class LogFile:
    """A growing file whose lines are added to a log stream."""

    def __init__(self, path: Path, stream: LogStream) -> None:
        self._path = path
        self._stream = stream
        self._size = -1

    def read(self, *, final: bool = False) -> None:
        """Adds the lines that were written since the last call.

        Args:
            final: The file grows no more: also add an unfinished last line.

        Raises:
            StorageError: The store can't be written; the next call continues from the same position.
        """
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return
        if size == self._size and not final:
            return
        while self._stream.position < size:
            before = self._stream.position
            with self._path.open("rb") as file:
                file.seek(before)
                data = file.read(_CHUNK)
            self._stream.add(data, final=final and before + len(data) >= size)
            if self._stream.position == before:
                break  # an unfinished line
        self._size = size


class LogFilePoller:
    """Reads all files that running replicas write."""

    def __init__(self) -> None:
        self._files: set[LogFile] = set()

    def add(self, file: LogFile) -> None:
        """Reads a file from now on."""
        self._files.add(file)

    def remove(self, file: LogFile) -> None:
        """Stops reading a file."""
        self._files.discard(file)

    def poll(self) -> None:
        """Adds the new lines of each file; if the store can't be written, the next call tries again."""
        for file in list(self._files):
            try:
                file.read()
            except StorageError:
                return
            except Exception:  # noqa: BLE001 - one file that can't be read must not delay others
                traceback.print_exc()
                self._files.discard(file)
