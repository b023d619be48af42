"""The copy of a project in which the local run works.

Making and deleting thousands of files takes seconds on usual file systems, so the copy of a large project is kept for
its next run, which copies only what has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ....core.errors import ProjectError
from ....core.integrity.file_signature import signature
from ...files.project_file import ProjectFile

KEPT_FROM = 300
"""Number of files from which on a copy is kept; fewer are copied in a moment."""

_RECORD = "files.json"

_Record = dict[str, list[list[int]]]
"""For each file what the original looked like, and what the copy did when it was made."""


class ProjectCopy:
    """The copy for one run. Runs at the same time each have their own, and one of them is kept.

    Args:
        root: The project's folder.
        place: Where the copy is made; on the file system of `shelf`.
        shelf: The folder of the kept copies.
    """

    def __init__(self, root: Path, place: Path, shelf: Path) -> None:
        self._root = root
        self._place = place
        self._kept = shelf / f"kept-{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}"
        self._record: _Record = {}
        self._folders: frozenset[str] = frozenset()

    def make(self, files: Sequence[ProjectFile], directories: Collection[str]) -> None:
        """Makes the copy, of the kept one if there is one.

        Args:
            files: The project's files.
            directories: Further folders, which may be empty; relative to the project.

        Raises:
            ProjectError: A file was deleted meanwhile.
        """
        self._folders = frozenset(_with_parents({file.path.rpartition("/")[0] for file in files} | set(directories)))
        known = self._take({file.path: _original(file) for file in files}) if len(files) >= KEPT_FROM else {}
        for folder in sorted(self._folders):
            (self._place / folder).mkdir(parents=True, exist_ok=True)
        for file in files:
            if file.path not in known:
                self._copy(file)
                known[file.path] = [_original(file), signature((self._place / file.path).lstat())]
        self._record = known

    def keep(self) -> None:
        """Keeps the copy for the next run, without what this one wrote; never raises, as the copy can be made anew."""
        if len(self._record) < KEPT_FROM:
            return
        moved = self._place.with_name("kept")
        with suppress(OSError):
            self._clean(self._record)
            moved.mkdir()
            (moved / _RECORD).write_text(json.dumps(self._record))
            self._place.rename(moved / "project")
            moved.rename(self._kept)  # fails if another run has kept its own

    def _take(self, originals: Mapping[str, list[int]]) -> _Record:
        """Moves the kept copy to its place, and returns the files that are as in the project."""
        moved = self._place.with_name("earlier")
        try:
            self._kept.rename(moved)
            known: _Record = json.loads((moved / _RECORD).read_bytes())
            same = {path: facts for path, facts in known.items() if facts[0] and facts[0] == originals.get(path)}
            (moved / "project").rename(self._place)
            return self._clean(same)
        except (OSError, ValueError, TypeError, AttributeError, LookupError):  # there is none, or it is damaged
            with suppress(OSError):
                self._place.rename(self._place.with_name("damaged"))
            return {}

    def _clean(self, record: _Record) -> _Record:
        """Removes what isn't in the record, or doesn't look like it any more; returns the entries of the rest."""
        left: _Record = {}
        for path, entry in _entries(str(self._place), "", self._folders):
            if path in record and signature(entry.stat(follow_symlinks=False)) == record[path][1]:
                left[path] = record[path]
            elif entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()
        return left

    def _copy(self, file: ProjectFile) -> None:
        """Copies a file. A hard link would not do: a script may change its files, which are the user's then."""
        target = self._place / file.path
        try:
            shutil.copyfile(file.source, target)
        except FileNotFoundError as error:
            raise ProjectError(f"{file.path} was deleted during the run", where=self._root) from error
        target.chmod(0o755 if file.executable else 0o644)


def _original(file: ProjectFile) -> list[int]:
    """What a file looks like in the project; one that was not listed from a disk is never the same."""
    return [*file.signature, int(file.executable)] if file.signature else []


def _with_parents(folders: Collection[str]) -> Iterator[str]:
    for folder in folders:
        parts = folder.split("/")
        yield from ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _entries(root: str, below: str, folders: Collection[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What is in a folder, at any depth: all but these folders themselves, and folders that aren't these as a whole."""
    with os.scandir(f"{root}/{below}") as found:
        entries = list(found)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if path in folders and entry.is_dir(follow_symlinks=False):
            yield from _entries(root, path, folders)
        else:
            yield path, entry
