"""A quick test of many names: which of them could any ignore pattern match?"""

from __future__ import annotations

from collections.abc import Iterable, Set

from ...core.gitignore import GitIgnore, Pattern


class NameFilter:
    """Rules out most names of a folder without a search; the others are decided one by one.

    Args:
        names: Names that are ignored in every folder.
        suffixes: Ends of names that are ignored in every folder.
        files: The ignore files that hold, each with the number of characters of its folder's path.
    """

    def __init__(self, names: Iterable[str], suffixes: Iterable[str], files: Iterable[tuple[int, GitIgnore]]) -> None:
        patterns = [(offset, pattern) for offset, file in files for pattern in file.patterns]
        floating = [pattern for _, pattern in patterns if not pattern.anchored]
        self._names = frozenset((*names, *(pattern.glob for pattern in floating if pattern.is_literal)))
        self._suffixes = (*suffixes, *(pattern.suffix for pattern in floating if pattern.suffix is not None))
        # For every other pattern the folder in and below which it can match, as seen from its file's folder.
        self._places = [
            (offset, "".join(f"{part}/" for part in pattern.literal_folders))
            for offset, pattern in patterns
            if not _is_simple(pattern)
        ]

    def possible(self, folder: str, names: Set[str]) -> Set[str]:
        """Those of the names in `folder` ("" or ending in "/") that a rule may match: no rule matches the others."""
        for offset, place in self._places:
            if folder.startswith(place, offset) or place.startswith(folder[offset:]):
                return names
        return {name for name in names if name.endswith(self._suffixes)} | (names & self._names)


def _is_simple(pattern: Pattern) -> bool:
    """Whether the pattern's names or suffixes tell all that it can match."""
    return not pattern.anchored and (pattern.is_literal or pattern.suffix is not None)
