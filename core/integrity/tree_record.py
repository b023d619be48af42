"""The record of a folder of many files: whether any of them changed since, without reading them."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from .file_signature import signature
from .sealed_json import read_sealed, write_sealed

_COMPILED = "__pycache__"


def record_tree(root: Path, record: Path) -> None:
    """Records a folder as it is now; symbolic links are recorded, not followed.

    Args:
        root: The folder.
        record: The file that keeps the record, outside of the folder.

    Raises:
        StorageError: The disk is full.
    """
    files, compiled = _hashes(root)
    write_sealed(record, {"files": files, "compiled": compiled})


def is_unchanged(root: Path, record: Path) -> bool:
    """Whether a folder is as it was recorded: no file changed, gone or new.

    Python writes compiled modules beside its modules while they are used. Compiled modules that aren't as they were
    recorded are removed, as they can be made again at any time; everything else counts.
    """
    known = read_sealed(record)
    if known is None or not root.is_dir():
        return False
    files, compiled = _hashes(root)
    if files != known.get("files"):
        return False
    if compiled != known.get("compiled"):
        for folder in _compiled_folders(root):
            shutil.rmtree(folder, ignore_errors=True)
        record_tree(root, record)
    return True


def record_compiled(root: Path, record: Path) -> None:
    """Records the compiled modules that a use of the folder added, if everything else is as it was recorded."""
    known = read_sealed(record)
    if known is None or not root.is_dir():
        return
    files, compiled = _hashes(root)
    if files == known.get("files") and compiled != known.get("compiled"):
        write_sealed(record, {"files": files, "compiled": compiled})


def _hashes(root: Path) -> tuple[str, str]:
    files, compiled = hashlib.sha256(), hashlib.sha256()
    for path, status, is_compiled in _entries(str(root), "", inside=False):
        # `Path.readlink` takes ten times as long, for thousands of files.
        target = os.readlink(f"{root}/{path}") if stat.S_ISLNK(status.st_mode) else ""  # noqa: PTH115
        facts = signature(status)
        if status.st_nlink > 1:  # another link to the file changes this time
            facts[2] = 0
        line = f"{path}\0{status.st_mode}\0{facts}\0{target}\n".encode("utf-8", "surrogateescape")
        (compiled if is_compiled else files).update(line)
    return files.hexdigest(), compiled.hexdigest()


def _entries(root: str, below: str, *, inside: bool) -> Iterator[tuple[str, os.stat_result, bool]]:
    """The files and links of a folder, sorted, and whether they are compiled modules."""
    with os.scandir(f"{root}/{below}") as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(root, path, inside=inside or entry.name == _COMPILED)
        else:
            yield path, entry.stat(follow_symlinks=False), inside


def _compiled_folders(root: Path) -> Iterator[Path]:
    for folder, names, _ in os.walk(root):
        if _COMPILED in names:
            names.remove(_COMPILED)
            yield Path(folder, _COMPILED)
