"""Patterns of output files: `*`, `?` and `[...]` match within a name, `**` matches any number of folders.

A pattern that names a folder means all files in it: `mlruns` is `mlruns/**`, and `out/*.keras` takes a saved model
that is a folder.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import List, Sequence


class OutputPatterns:
    """The patterns of a project, relative to the working directory.

    Args:
        patterns: As in the setting `outputs`.

    Raises:
        ValueError: A pattern is empty, absolute, or leads out of the working directory.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [_parts(pattern) for pattern in patterns]

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._patterns)

    def match(self, path: str) -> bool:
        """Whether a file is an output; `path` is relative, with slashes."""
        parts = path.split("/")
        return any(_matches(parts, pattern) for pattern in self._patterns)

    def may_match_below(self, folder: str) -> bool:
        """Whether a folder may hold outputs; others need not be searched."""
        parts = folder.split("/")
        return any(_may_contain(parts, pattern) for pattern in self._patterns)


def _parts(pattern: str) -> List[str]:
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if pattern.startswith("/") or ".." in parts or not parts:
        raise ValueError("%r is not a pattern inside the working directory" % pattern)
    found: List[str] = []
    for part in [*parts, "**"]:
        if part != "**" or found[-1:] != ["**"]:  # two in a row mean the same as one
            found.append(part)
    return found


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether all parts match; works through the pattern once for each part, as `**` can end at several of them."""
    reached = _skip_folders({0}, pattern)
    for part in parts:
        reached = _skip_folders(
            {
                place if pattern[place] == "**" else place + 1
                for place in reached
                if place < len(pattern) and (pattern[place] == "**" or fnmatchcase(part, pattern[place]))
            },
            pattern,
        )
    return len(pattern) in reached


def _skip_folders(places: "set[int]", pattern: Sequence[str]) -> "set[int]":
    """Places in the pattern that can be next: `**` may also match nothing."""
    return places | {place + 1 for place in places if place < len(pattern) and pattern[place] == "**"}


def _may_contain(folder: Sequence[str], pattern: Sequence[str]) -> bool:
    for part, wanted in zip(folder, pattern):
        if wanted == "**":
            return True
        if not fnmatchcase(part, wanted):
            return False
    return len(folder) < len(pattern)
