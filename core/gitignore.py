"""`.gitignore` patterns, with git's own meaning: https://git-scm.com/docs/gitignore.

The patterns of `include`, `exclude` and `allow-secrets` in a project's settings have the same form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .wildmatch import SPECIAL, as_bytes, expression, matcher


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of a `.gitignore` file, taken apart as git does: `parse_path_pattern` in its dir.c.

    Attributes:
        glob: The pattern without `!`, the leading `/` and the trailing `/`.
        ignores: Whether a match is ignored; False for a line that begins with `!`.
        folders_only: Whether it matches folders alone: the line ends in `/`.
        anchored: Whether it must match the whole path; else it must match the last name of a path in any folder.
    """

    glob: str
    ignores: bool
    folders_only: bool
    anchored: bool

    @classmethod
    def parse(cls, line: str) -> Pattern | None:
        """The pattern in a line without its line break; None for a comment or an empty line."""
        if line.startswith("#"):
            return None
        text = _without_trailing_spaces(line)
        glob = text.removeprefix("!")
        folders_only = glob.endswith("/")
        glob = glob[:-1] if folders_only else glob
        if not glob:
            return None
        return cls(glob.removeprefix("/"), text[0] != "!", folders_only, "/" in glob)

    @property
    def is_literal(self) -> bool:
        """Whether it matches exactly the text that it is."""
        return not SPECIAL.intersection(self.glob)

    @property
    def suffix(self) -> str | None:
        """What the names that it matches end in, for a pattern such as `*.log`; None for any other pattern."""
        ending = self.glob[1:]
        return ending if self.glob.startswith("*") and not SPECIAL.intersection(ending) else None

    @property
    def literal_folders(self) -> list[str]:
        """The parts of an anchored pattern's path before the first one with a wildcard; empty for any other."""
        literal: list[str] = []
        for part in self.glob.split("/") if self.anchored else []:
            if SPECIAL.intersection(part):
                break
            literal.append(part)
        return literal


class GitIgnore:
    """The patterns of one file; the last one that matches a path decides.

    Attributes:
        patterns: In the order of their lines.
    """

    __slots__ = ("_any_name", "_any_path", "_last_first", "patterns")

    def __init__(self, lines: Iterable[str]) -> None:
        self.patterns = [pattern for line in lines if (pattern := Pattern.parse(line))]
        expressions = [expression(as_bytes(pattern.glob)) for pattern in self.patterns]
        compiled = [matcher([text]) for text in expressions]
        self._last_first = list(zip(compiled, self.patterns, strict=True))[::-1]
        # Most paths match no pattern; one joined expression says so at once.
        both = list(zip(expressions, self.patterns, strict=True))
        self._any_name = matcher(text for text, pattern in both if not pattern.anchored)
        self._any_path = matcher(text for text, pattern in both if pattern.anchored)

    def decide(self, path: str) -> bool | None:
        """True where the last pattern that matches ignores `path`, False where that pattern has a `!`, else None.

        Args:
            path: Relative to the folder of the file, with `/`; a folder ends in "/". Folders above it are not looked
                at: git decides a folder before what is in it.
        """
        is_folder = path.endswith("/")
        path = as_bytes(path[:-1] if is_folder else path)
        name = path.rpartition("/")[2]
        if not self._any_name(name) and not self._any_path(path):
            return None
        for matches, pattern in self._last_first:
            if (is_folder or not pattern.folders_only) and matches(path if pattern.anchored else name):
                return pattern.ignores
        return None

    def covers(self, path: str) -> bool:
        """Whether `path` is ignored by itself, or else by the nearest folder above it that any pattern matches."""
        ends = [index + 1 for index, sign in enumerate(path) if sign == "/"]
        parts = (path, *(path[:end] for end in reversed(ends)))
        return next((decision for part in parts if (decision := self.decide(part)) is not None), False)


def lines_of(text: str) -> list[str]:
    """The lines of a file as git separates them: by line feeds alone, a carriage return before one left out."""
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def _without_trailing_spaces(line: str) -> str:
    """The line without the spaces at its end; a backslash keeps the first of them."""
    text = line.rstrip(" ")
    backslashes = len(text) - len(text.rstrip("\\"))
    return line[: len(text) + backslashes % 2]
