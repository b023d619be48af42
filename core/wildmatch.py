"""Translation of git's glob patterns to regular expressions.

The rules are those of git's own matcher: https://github.com/git/git/blob/master/wildmatch.c. Python's `glob` and
`fnmatch` differ from it in `**`, in escapes and in character classes.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator

SPECIAL = frozenset("*?[\\")
"""Characters that make a pattern more than a literal text."""

_TOKEN = re.compile(r"(\*+)|(\?)|(\[)|\\(.)|([^*?\[\\])", re.DOTALL)
_CLASS_ITEM = re.compile(r"\[:([^\]]*):\]|\\(.)|([^\\])", re.DOTALL)
_RANGE_END = re.compile(r"\\(.)|([^\\])", re.DOTALL)

_BLANK, _PRINTABLE = " \t", [chr(code) for code in range(0x20, 0x7F)]
_CLASSES = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": _BLANK,
    "cntrl": [*map(chr, range(0x20)), "\x7f"],
    "digit": string.digits,
    "graph": _PRINTABLE[1:],
    "lower": string.ascii_lowercase,
    "print": _PRINTABLE,
    "punct": string.punctuation,
    "space": _BLANK + "\n\r",
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}


def as_bytes(text: str) -> str:
    """`text` with one character for each byte of its UTF-8 form, because git matches bytes and not letters."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


class _NeverMatches(Exception):
    """The pattern has an unfinished class or escape, or a class of an unknown name: git lets it match nothing."""


def expression(glob: str) -> str:
    """The regular expression that must match all of a path, for a pattern that may span folders.

    Args:
        glob: A pattern whose characters are bytes (see `as_bytes`), without a leading `!` or `/` and a trailing `/`.
    """
    try:
        return "".join(_parts(glob))
    except _NeverMatches:
        return "(?!)"


def _parts(glob: str) -> Iterator[str]:
    """The expressions of a pattern's parts: runs of asterisks, question marks, classes and single characters."""
    first_special = next((place for place, sign in enumerate(glob) if sign in SPECIAL), len(glob))
    at = 0
    while at < len(glob):
        token = _TOKEN.match(glob, at)
        if token is None:  # a backslash at the end
            raise _NeverMatches
        stars, one, bracket, escaped, plain = token.groups()
        start, at = token.span()
        if stars:
            # git compares the literal beginning on its own, so that `**` right behind it counts as leading.
            leading = start == first_special or glob[start - 1] == "/"
            part, at = _stars(glob, at, spans_folders=leading and len(stars) > 1)
        elif bracket:
            part, at = _character_class(glob, at)
        else:
            part = "[^/]" if one else re.escape(escaped or plain)
        yield part


def _stars(glob: str, at: int, *, spans_folders: bool) -> tuple[str, int]:
    """The expression for a run of asterisks that ends at `at`, and where the pattern goes on."""
    if spans_folders and glob.startswith("/", at):
        return "(?:.*/)?", at + 1
    if spans_folders and (at == len(glob) or glob.startswith("\\/", at)):
        return ".*", at
    return "[^/]*", at


def _character_class(glob: str, at: int) -> tuple[str, int]:
    """The expression for the class whose `[` ends at `at`, and where the pattern goes on."""
    negated = glob.startswith(("!", "^"), at)
    members: list[str] = []
    at = first = at + negated
    previous = ""  # the character that a `-` makes the first of a range
    while at == first or not glob.startswith("]", at):
        item = _CLASS_ITEM.match(glob, at)
        if item is None:  # no closing bracket
            raise _NeverMatches
        name, escaped, plain = item.groups()
        at = item.end()
        if name is not None:
            members += map(_escaped, _named_class(name))
            previous = ""
        elif plain == "-" and previous and glob[at : at + 1] not in {"", "]"}:
            last, at = _range_end(glob, at)
            members += [f"{_escaped(previous)}-{_escaped(last)}"] if previous <= last else []
            previous = ""
        else:
            previous = escaped or plain
            members.append(_escaped(previous))
    text = "".join(members)
    if negated:
        return f"[^/{text}]", at + 1
    return (f"(?!/)[{text}]" if text else "(?!)"), at + 1


def _named_class(name: str) -> Iterable[str]:
    if name not in _CLASSES:
        raise _NeverMatches
    return _CLASSES[name]


def _range_end(glob: str, at: int) -> tuple[str, int]:
    """The last character of a range, and where the class goes on."""
    end = _RANGE_END.match(glob, at)
    if end is None:
        raise _NeverMatches
    return end[1] or end[2], end.end()


def _escaped(sign: str) -> str:
    """A character in a form that has no meaning of its own in a class of Python's."""
    return f"\\x{ord(sign):02x}"
