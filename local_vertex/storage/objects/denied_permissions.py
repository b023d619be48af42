"""The rights that callers of the storage server lack.

A switch of local_vertex denies them. The storage server is a process of its own, so a file tells it.
"""

from __future__ import annotations

from pathlib import Path

from ....core.atomic_files import write_atomic

_FILE = "denied_permissions.txt"


def deny(folder: Path, names: str) -> None:
    """Sets the rights that callers lack.

    Args:
        folder: Where the storage server keeps what is not in the buckets' folders.
        names: Their names with commas between them, for example "storage.objects.create"; empty for none.

    Raises:
        StorageError: The disk is full.
    """
    path = folder / _FILE
    if names or path.exists():
        write_atomic(path, names)


def denied(folder: Path) -> set[str]:
    """The rights that callers lack."""
    try:
        return {name.strip() for name in (folder / _FILE).read_text().split(",")}
    except OSError:
        return set()
