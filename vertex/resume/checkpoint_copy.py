"""Copies checkpoints from one run's output to another's, in the same bucket or in that of another region.

What is there already and not older stays, so the copy may be cut off and repeated, and a job that went on writing loses
nothing. The source is only read. Objects are copied in the order in which they were written: scripts that take the
newest file find the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...core.output_folders import checkpoint_folder
from ..client.storage import ModelStore, StoredObject


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The files in a checkpoint folder.

    Attributes:
        folder: `gs://BUCKET/PREFIX`.
        files: How many.
        size: Bytes of all together.
        newest: The path of the file that was written last, relative to the folder; empty without any.
    """

    folder: str
    files: int
    size: int
    newest: str

    def __str__(self) -> str:
        """For example "3 files, 1.2 MB, the newest step-40.pt"."""
        count = f"{self.files} file{'' if self.files == 1 else 's'}"
        return f"{count}, {self.size / 1e6:.1f} MB, the newest {self.newest}"


def checkpoints_of(store: ModelStore, output: str) -> Checkpoints:
    """What is in the checkpoint folder of a job's output.

    Args:
        store: The object storage.
        output: The job's `gs://BUCKET/PREFIX`.

    Raises:
        VertexError: The folder can't be listed.
    """
    folder = checkpoint_folder(output)
    return _described(folder, store.objects(folder))


def copy_checkpoints(
    store: ModelStore, source: str, target: str, *, log: Callable[[str], None] | None = None
) -> Checkpoints:
    """Copies the checkpoints of one output to another, perhaps in another region's bucket; returns the target's.

    Args:
        store: The object storage, which copies on its side.
        source: The output to copy from, `gs://BUCKET/PREFIX`.
        target: The output to copy to.
        log: Called with a line that says what is copied.

    Raises:
        VertexError: A folder can't be listed, or an object not copied.
    """
    old, new = checkpoint_folder(source), checkpoint_folder(target)
    if old == new:
        return checkpoints_of(store, target)
    there = {item.path: item for item in store.objects(new)}
    wanted = [item for item in store.objects(old) if _is_newer(item, there.get(item.path))]
    if wanted and log:
        log(f"copying {_described(old, wanted)}, from {old} to {new}")
    for item in sorted(wanted, key=lambda item: (item.updated, item.path)):
        store.copy(f"{old}/{item.path}", f"{new}/{item.path}")
    return checkpoints_of(store, target)


def _is_newer(item: StoredObject, other: StoredObject | None) -> bool:
    return other is None or item.updated > other.updated


def _described(folder: str, found: Sequence[StoredObject]) -> Checkpoints:
    newest = max(found, key=lambda item: (item.updated, item.path), default=None)
    return Checkpoints(folder, len(found), sum(item.size for item in found), newest.path if newest else "")
