"""The temporary folder of a replica, under a name that is short enough for the sockets that programs make in it.

The path of a Unix socket has at most 107 bytes, and Python's multiprocessing adds 33 to TMPDIR: without a short name
the workers of a PyTorch DataLoader can't hand over tensors, and the training waits for them for ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

_LONGEST = 107 - len("/pymp-01234567/listener-01234567")


def make_temporary(folder: Path) -> Path:
    """Makes the folder; returns it, or a link to it in this machine's temporary folder if its path is too long."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(os.fsencode(folder)) <= _LONGEST:
        return folder
    link = _link(folder)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(folder)
    return link if _is_ours(link, folder) else folder


def forget_temporary(folder: Path) -> None:
    """Removes the link to the folder, if it needed one; the folder itself stays."""
    if len(os.fsencode(folder)) <= _LONGEST:
        return
    link = _link(folder)
    with contextlib.suppress(OSError):
        if _is_ours(link, folder):
            link.unlink()


def _link(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"vertex-{digest}")


def _is_ours(link: Path, folder: Path) -> bool:
    """Whether the link leads there and belongs to this user: everybody may write to a temporary folder."""
    return link.is_symlink() and link.lstat().st_uid == os.getuid() and link.readlink() == folder
