"""Translation of git's glob patterns to regular expressions.

The rules are those of git's own matcher: https://github.com/git/git/blob/master/wildmatch.c. Python's `glob` and
`fnmatch` differ from it in `**`, in escapes and in character classes.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator
from typing import Any

SPECIAL = frozenset("*?[\\")
"""Characters that make a pattern more than a literal text."""

NEVER = r"[^\x00-\U0010ffff]"
"""The expression that matches nothing."""

_FEW_STARS = 2
"""Repetitions of one expression for which Python's engine is fast: its time grows with the text's length to their
power, so that a repository's `*a*a*a*a*a*b` would take hours for one file."""
_MEMORY = 64 << 20

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


def matcher(expressions: Iterable[str]) -> Callable[[str], Any]:
    """What matches all of a text against any of the expressions; its time is bounded by the text's length.

    Args:
        expressions: Those of `expression`, or others without look-around and references.

    Raises:
        re.error: One is no expression.
    """
    texts = list(expressions)
    joined = "|".join(f"(?:{text})" for text in texts) or NEVER
    quick = re.compile(joined, re.DOTALL)
    if all(text.count("*") <= _FEW_STARS for text in texts):
        return quick.fullmatch
    import re2

    options = re2.Options()
    options.dot_nl, options.max_mem, options.log_errors = True, _MEMORY, False
    bounded = re2.compile(joined.replace(NEVER, r"[^\x00-\x{10ffff}]"), options)
    return lambda text: bounded.fullmatch(text.encode("utf-8", "replace").decode())


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
        return NEVER


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
            members += (_escaped(sign) for sign in _named_class(name) if sign != "/")
            previous = ""
        elif plain == "-" and previous and glob[at : at + 1] not in {"", "]"}:
            last, at = _range_end(glob, at)
            members += _range(previous, last)
            previous = ""
        else:
            previous = escaped or plain
            members += [_escaped(previous)] if previous != "/" else []
    text = "".join(members)
    if negated:
        return f"[^/{text}]", at + 1
    return (f"[{text}]" if text else NEVER), at + 1


def _named_class(name: str) -> Iterable[str]:
    if name not in _CLASSES:
        raise _NeverMatches
    return _CLASSES[name]


def _range(first: str, last: str) -> list[str]:
    """A range without the slash, which no class matches; none if it ends before it begins."""
    parts = [(first, "."), ("0", last)] if first <= "/" <= last else [(first, last)]
    return [f"{_escaped(low)}-{_escaped(high)}" for low, high in parts if low <= high]


def _range_end(glob: str, at: int) -> tuple[str, int]:
    """The last character of a range, and where the class goes on."""
    end = _RANGE_END.match(glob, at)
    if end is None:
        raise _NeverMatches
    return end[1] or end[2], end.end()


def _escaped(sign: str) -> str:
    """A character in a form that has no meaning of its own in a class of Python's."""
    return f"\\x{ord(sign):02x}"
