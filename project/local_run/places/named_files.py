"""Finds the files outside of the working directory that a script wrote, by the texts in its sources."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_LONGEST = 200
"""Characters of a text that may be a path."""
_MOST_IN_FOLDER = 1000
"""Entries of a folder that are looked at."""


def named_files(texts: Iterable[str], working_directory: Path, since: float) -> tuple[Path, ...]:
    """The files written since then whose path is a text, or whose name and folder are.

    `torch.save("/tmp/model.pt")` and `os.path.join("/tmp", "model.pt")` are both found. A name without a folder is
    looked for in the home folder, the folder for temporary files and above the working directory, too: that is where
    functions of the standard library lead.

    Args:
        texts: The texts in the script.
        working_directory: Where it runs; relative paths count from there.
        since: Seconds since 1970.
    """
    paths = [_absolute(text, working_directory) for text in dict.fromkeys(texts) if _may_be_a_path(text)]
    names = {path.name for path in paths if path.suffix}
    folders = dict.fromkeys([path for path in paths if not path.is_relative_to(working_directory) and path.is_dir()])
    usual = (Path.home(), Path(tempfile.gettempdir()), working_directory.parent)
    found = [path for path in paths if not path.is_relative_to(working_directory)]
    found += [folder / name for folder in dict.fromkeys([*folders, *usual]) for name in sorted(names)]
    for folder in folders:
        if folder not in usual and folder != Path(folder.anchor):
            found += _files_of(folder)
    return tuple(path for path in dict.fromkeys(found) if _is_new(path, since))


def _may_be_a_path(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable() and "://" not in text


def _absolute(text: str, working_directory: Path) -> Path:
    return Path(os.path.normpath(working_directory / os.path.expanduser(text)))  # noqa: PTH111 - never raises


def _files_of(folder: Path) -> Iterator[Path]:
    """The files in a folder and in its folders."""
    try:
        entries = sorted(folder.iterdir())[:_MOST_IN_FOLDER]
        yield from (entry for entry in entries if entry.is_file())
        for inner in entries:
            if inner.is_dir() and not inner.is_symlink():
                yield from (entry for entry in sorted(inner.iterdir())[:_MOST_IN_FOLDER] if entry.is_file())
    except OSError:  # not readable
        return


def _is_new(path: Path, since: float) -> bool:
    try:
        return path.is_file() and path.stat().st_mtime >= since
    except OSError:
        return False
