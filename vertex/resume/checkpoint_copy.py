"""Copies checkpoints from outputs to another one, in the same bucket or in that of another region.

What is there already and not older stays, so the copy may be cut off and repeated, and a job that went on writing loses
nothing. The sources are only read. Objects are copied in the order in which they were written: scripts that take the
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
    store: ModelStore, sources: Sequence[str], target: str, *, log: Callable[[str], None] = lambda _: None
) -> Checkpoints:
    """Copies the checkpoints of outputs to another one, perhaps in another region's bucket; returns the target's.

    Of files with one path, the one that was written last counts. All sources are listed before anything is copied,
    because a copy is newer than what it was made of.

    Args:
        store: The object storage, which copies on its side.
        sources: The outputs to copy from, `gs://BUCKET/PREFIX`; the target may be among them.
        target: The output to copy to.
        log: Called with a line for each source that says what is copied.

    Raises:
        VertexError: A folder can't be listed, or an object not copied.
    """
    new = checkpoint_folder(target)
    newest = {item.path: (item, new) for item in store.objects(new)}
    for folder in dict.fromkeys(checkpoint_folder(source) for source in sources):
        for item in store.objects(folder) if folder != new else ():
            if item.path not in newest or item.updated > newest[item.path][0].updated:
                newest[item.path] = item, folder
    wanted = [(item, folder) for item, folder in newest.values() if folder != new]
    for folder in dict.fromkeys(folder for _, folder in wanted):
        log(f"copying {_described(folder, [item for item, own in wanted if own == folder])}, from {folder} to {new}")
    for item, folder in sorted(wanted, key=lambda each: (each[0].updated, each[0].path)):
        store.copy(f"{folder}/{item.path}", f"{new}/{item.path}")
    return checkpoints_of(store, target)


def _described(folder: str, found: Sequence[StoredObject]) -> Checkpoints:
    newest = max(found, key=lambda item: (item.updated, item.path), default=None)
    return Checkpoints(folder, len(found), sum(item.size for item in found), newest.path if newest else "")
