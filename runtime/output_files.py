"""Finds the files that a script wrote in its working directory."""

from __future__ import annotations

import os
import stat
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from .output_patterns import OutputPatterns

Signatures = Dict[str, List[int]]
"""For each file that matches: the time of its last write, of its last change, and its size."""

STATE_PREFIX = ".vertex-training-files-"
"""Begins the name of the runtime's own file in the temporary folder, which is never an output."""

_NOT_SEARCHED = frozenset(("/proc", "/sys", "/dev", "/gcs"))
"""Folders below `/`, which is the working directory of an image that names none."""


class Output(NamedTuple):
    """One output: its path relative to the working directory, and the file that has its content."""

    path: str
    source: str


class Found(NamedTuple):
    """What a search found.

    Attributes:
        outputs: The files that are new or changed, sorted by path.
        left_out: What matches and can't be an output, with the reason; one line each.
    """

    outputs: List[Output]
    left_out: List[str]


class _Entry(NamedTuple):
    path: str
    source: str
    signature: List[int]
    refusal: str


def signatures(root: str, patterns: OutputPatterns) -> Signatures:
    """The state of everything that matches now; taken before the script starts."""
    root = os.path.realpath(root)
    return {entry.path: entry.signature for entry in _entries(root, "", patterns)}


def find(root: str, patterns: OutputPatterns, before: Signatures) -> Found:
    """The files that match and were written since `before`.

    A link to a file in the working directory counts as a file with that content. Links to folders are not followed.
    Links that lead out of the working directory, pipes, sockets and devices are left out.

    Args:
        root: The working directory.
        patterns: What to look for.
        before: From `signatures`, at a time before the script ran.
    """
    root = os.path.realpath(root)
    changed = [entry for entry in _entries(root, "", patterns) if before.get(entry.path) != entry.signature]
    changed.sort()
    return Found(
        [Output(entry.path, entry.source) for entry in changed if not entry.refusal],
        ["%s: %s" % (entry.path, entry.refusal) for entry in changed if entry.refusal],
    )


def _entries(root: str, folder: str, patterns: OutputPatterns) -> Iterator[_Entry]:
    try:
        with os.scandir(os.path.join(root, folder)) as listed:
            items = list(listed)
    except OSError as error:
        if folder and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return  # removed by a process of the script meanwhile
        yield _Entry(folder or ".", "", [], "can't be read: %s" % error.strerror)
        return
    for item in items:
        path = folder + "/" + item.name if folder else item.name
        if item.is_dir(follow_symlinks=False):
            if item.name != "__pycache__" and item.path not in _NOT_SEARCHED and patterns.may_match_below(path):
                yield from _entries(root, path, patterns)
        elif patterns.match(path) and not item.name.startswith(STATE_PREFIX):
            entry = _entry(root, path, item.path)
            if entry is not None:
                yield entry
        elif item.is_symlink() and patterns.may_match_below(path) and os.path.isdir(item.path):
            yield _link_to_folder(root, path, item.path)


def _entry(root: str, path: str, location: str) -> Optional[_Entry]:
    """The entry of a path that matches; None if it was removed meanwhile."""
    try:
        own = os.lstat(location)
        if stat.S_ISLNK(own.st_mode):
            return _link(root, path, location, own)
    except OSError:
        return None
    return _Entry(path, location, _signature(own), _refusal(path, own))


def _link(root: str, path: str, location: str, own: os.stat_result) -> _Entry:
    target, inside = _target(root, location)
    if not inside:
        return _Entry(path, "", _signature(own), "a link out of the working directory")
    try:
        status = os.stat(target)
    except OSError:
        return _Entry(path, "", _signature(own), "a link to nothing")
    if stat.S_ISDIR(status.st_mode):
        return _link_to_folder(root, path, location)
    return _Entry(path, target, _signature(own) + _signature(status), _refusal(path, status))


def _link_to_folder(root: str, path: str, location: str) -> _Entry:
    target, inside = _target(root, location)
    reason = "a link out of the working directory"
    if inside:
        reason = "a link to a folder; name the folder itself, %s" % os.path.relpath(target, root)
    return _Entry(path, "", _signature(os.lstat(location)), reason)


def _target(root: str, location: str) -> Tuple[str, bool]:
    """What a link leads to in the end, and whether that is inside the working directory."""
    target = os.path.realpath(location)
    return target, target == root or target.startswith(root.rstrip("/") + "/")


def _refusal(path: str, status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return "its name isn't UTF-8, as Cloud Storage demands"
    return ""


def _signature(status: os.stat_result) -> List[int]:
    return [status.st_mtime_ns, status.st_ctime_ns, status.st_size]
