"""What Cloud Storage knows about an object beside its bytes, kept with its file.

It lies in one extended attribute, together with the size and the modification time that it holds for. When these
differ, somebody else has written the file, and everything is made anew from the file itself. Where attributes are
refused, by the file system or for their length, it lies in a file of `folder` that is named by the inode's number.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....core.atomic_files import write_atomic
from ....core.security.parsed_text import parse_json

_NAME = "user.vertex-training.object"
_MAX_BYTES = 3500  # ext4 has room for one block of all attributes
_ATTRIBUTES = hasattr(os, "setxattr")  # not on macOS


class AttributeStore:
    """Reads and writes the attributes of open files.

    Args:
        folder: Where the attributes lie that a file itself can't hold.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, file: int, status: os.stat_result) -> dict[str, Any]:
        """The attributes of an open file; empty when there are none, or somebody else has written the file."""
        text = self._text(file, status)
        if not text:
            return {}
        with contextlib.suppress(ValueError):
            found = parse_json(text)
            if (found.pop("size", None), found.pop("mtime", None)) == (status.st_size, status.st_mtime_ns):
                return found
        return {}

    def write(self, file: int, values: Mapping[str, Any]) -> None:
        """Keeps the attributes of an open file whose content and modification time are final.

        Raises:
            OSError: The disk is full.
        """
        status = os.fstat(file)
        text = json.dumps({"size": status.st_size, "mtime": status.st_mtime_ns, **values}).encode()
        aside = self._aside(status)
        if _ATTRIBUTES and len(text) <= _MAX_BYTES:
            with contextlib.suppress(OSError):
                os.setxattr(file, _NAME, text)
                return
        if _ATTRIBUTES:
            with contextlib.suppress(OSError):
                os.removexattr(file, _NAME)
        write_atomic(aside, text)

    def _text(self, file: int, status: os.stat_result) -> bytes:
        if _ATTRIBUTES:
            with contextlib.suppress(OSError):
                return os.getxattr(file, _NAME)
        try:
            return self._aside(status).read_bytes()
        except OSError:
            return b""

    def _aside(self, status: os.stat_result) -> Path:
        return self._folder / str(status.st_ino)
