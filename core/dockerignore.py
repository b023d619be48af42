"""A `.dockerignore` file, with Docker's meaning: anchored patterns of Go's `filepath.Match`, `**`, `!` for exceptions.

The format: https://docs.docker.com/build/concepts/context/#dockerignore-files. The rules in detail:
https://github.com/moby/patternmatcher, the library that the docker command and BuildKit use.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .wildmatch import matcher

_WILD = re.compile(r"[*?\[\\]")


class DockerIgnore:
    """The patterns of one file; the last pattern that matches a path or a folder above it decides.

    Args:
        lines: The lines of the file.

    Raises:
        ValueError: Docker rejects a line; the error's text is that line.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        patterns = [(_cleaned(line.removeprefix("!")), line.startswith("!")) for line in _patterns(lines)]
        self._each = [(_compiled(pattern), keeps) for pattern, keeps in patterns]
        self._any = matcher(_expression(pattern) for pattern, keeps in patterns if not keeps)
        self._depths = {
            -1 if re.search(r"\*\*|\[", pattern) else pattern.count("/") for pattern, keeps in patterns if not keeps
        }
        self._kept = [pattern for pattern, keeps in patterns if keeps]
        self._none = [False] * len(patterns)
        self._folders = {"": self._none}

    def ignores(self, path: str) -> bool:
        """Whether `path` is ignored; it is relative to the file's folder and written with `/`."""
        above = self._folder(path.rpartition("/")[0])
        if above is self._none and self._any(path) is None:
            return False
        return self._decide(path, above)[0]

    def may_ignore_in(self, folder: str) -> bool:
        """Whether a pattern can match a name in `folder`, or matches that folder; "" is the file's own folder."""
        depth = folder.count("/") + 1 if folder else 0
        return not self._depths.isdisjoint({depth, -1}) or self._folder(folder) is not self._none

    def may_keep_below(self, folder: str) -> bool:
        """Whether an exception (`!`) can match something inside the ignored `folder`."""
        return any(_can_begin_with(pattern, folder) for pattern in self._kept)

    def _folder(self, path: str) -> list[bool]:
        """Which patterns match a folder or one above it, a flag for each pattern."""
        known = self._folders.get(path)
        if known is None:
            _, found = self._decide(path, self._folder(path.rpartition("/")[0]))
            known = self._folders[path] = found if any(found) else self._none
        return known

    def _decide(self, path: str, above: list[bool]) -> tuple[bool, list[bool]]:
        """Whether `path` is ignored, and which patterns match it.

        Follows `MatchesUsingParentResults` of patternmatcher: an exception counts only if the path is ignored so far.
        """
        ignored = False
        found: list[bool] = []
        for (matches, keeps), inherited in zip(self._each, above, strict=True):
            match = inherited or (keeps == ignored and matches(path) is not None)
            found.append(match)
            if match:
                ignored = not keeps
        return ignored, found


def _patterns(lines: Iterable[str]) -> Iterator[str]:
    """The lines that hold a pattern, without spaces around it and around a leading `!`."""
    for number, text in enumerate(lines):
        line = text.removeprefix("\ufeff") if number == 0 else text
        if line.startswith("#"):
            continue
        line = line.strip()
        if line.startswith("!"):
            line = "!" + line[1:].strip()
            if line == "!":
                raise ValueError(line)
        if line:
            yield line


def _cleaned(pattern: str) -> str:
    """The pattern in the form of Go's `filepath.Clean`, without a leading slash."""
    cleaned = posixpath.normpath(pattern).lstrip("/")
    return cleaned or "/"


def _compiled(pattern: str) -> Callable[[str], Any]:
    try:
        return matcher([_expression(pattern)])
    except (re.error, ValueError):
        raise ValueError(pattern) from None


def _expression(pattern: str) -> str:
    """The regular expression that must match all of a path."""
    if pattern.startswith("**") and not _WILD.search(pattern[2:]):
        rest = re.escape(pattern[2:].removeprefix("/"))
        return f"(?:.*/)?{rest}" if pattern.startswith("**/") else f".*{rest}"
    parts = re.findall(r"\*\*/?|\\.|\[(?:\\.|[^\]\\])*\]|.", pattern, re.DOTALL)
    return "".join(_part(part, last=place == len(parts) - 1) for place, part in enumerate(parts))


def _part(part: str, *, last: bool) -> str:
    if part.startswith("**"):
        return ".*" if last else "(?:.*/)?"
    if part in {"*", "?"}:
        return "[^/]*" if part == "*" else "[^/]"
    if part.startswith("["):
        return _class(part)
    return re.escape(part[1:] if len(part) == 2 else part)


def _class(part: str) -> str:
    """A character class, which means the same to Go and Python but for `[` and escapes in it; one without an end."""
    inner = part[1:-1].removeprefix("^")
    if len(part) < 3 or not inner:
        raise ValueError(part)
    signs = "".join(sign if sign == "-" else re.escape(sign[-1]) for sign in re.findall(r"\\.|.", inner, re.DOTALL))
    return f"[{'^' if part[1] == '^' else ''}{signs}]"


def _can_begin_with(pattern: str, folder: str) -> bool:
    """Whether a path that matches `pattern` can lie in `folder`."""
    for wanted, given in zip(pattern.split("/"), folder.split("/"), strict=False):
        if _WILD.search(wanted):
            return True
        if wanted != given:
            return False
    return True
