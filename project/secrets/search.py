"""Search for secrets in a text: one fast pass over all of it, then exact rules around each suspicious place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, cached_property
from heapq import merge
from typing import Any, cast

from . import gitleaks_rules
from .detectors import BASIC_AUTH, PLUGINS, Detectors
from .plausible import is_harmless_login, is_mixed_by_chance, is_password, is_placeholder, is_random, is_uuid
from .rules import DETECTED, OWN, PASSWORDS, PREFILTERS, TOKENS

Secret = tuple[str, str]
"""Kind and text of a secret."""

_LOGIN = PLUGINS[BASIC_AUTH]
_ALLOWED = re.compile(r"pragma: ?(?:allow|white)list[ -]secret")
_RUN = 100
"""Characters of base64 around a match in which it is a part of a picture or of a model, and chance."""
_KEYS = "private key"
_MUCH = 16 << 20
"""Bytes of text after which one large automaton costs less than two small ones: its states, which RE2 makes when text
needs them, take as long as some megabytes, but then it reads twice as fast."""
_TOLD = re.compile(
    r'"(?:(?:content|output|text|response|completion|answer|arguments|prompt|instruction)"\s*:\s*"'
    r'|value"\s*:\s*"(?:\{\\"|[A-Z]\w* [a-z]+ [a-z]+ ))(?:[^"\\]|\\.)*$'
)
"""The beginning of a message in a set of conversations, in which people and programs make up passwords. A `value` is one
if it is an object or a sentence."""
_WEAK = frozenset({"bearer token", "token in an address", "authorization header"})
"""Kinds of own rules whose secret has no form of its own, and so must look random."""


def is_allowed(line: str) -> bool:
    """Whether a line has the comment by which detect-secrets allows a secret."""
    return _ALLOWED.search(line.split("\n", 1)[0]) is not None


class SecretSearch:
    """The rules, ready for use. Each kind of rule is compiled or loaded when it is needed first."""

    def __init__(self) -> None:
        self._searched = 0

    def suspicious_spans(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Start and end of every place that any rule could match, by start."""
        self._searched += len(text)
        expressions = PREFILTERS if self._searched < _MUCH else ("|".join(PREFILTERS),)
        patterns = map(_prefilter, expressions)
        return merge(*((match.span() for match in pattern.finditer(text)) for pattern in patterns))

    def secrets(self, around: str) -> list[Secret]:
        """The secrets in the text around a suspicious place; the most exact rules that find any decide."""
        text = re.sub(r"\\u00([2-7][0-9a-fA-F])", lambda code: chr(int(code[1], 16)), around)  # JSON's escapes
        plain = re.sub(r"""\\{1,4}(["'/])""", r"\1", text)
        return (
            self._by_own_rules(text)
            or (self._by_own_rules(plain) if plain != text else [])
            or self._by_detectors(plain)
            or self._by_gitleaks(plain)
            or self._by_assignment(plain, text)
        )

    def _by_own_rules(self, text: str) -> list[Secret]:
        """The secrets that the first matching rule of our own finds."""
        for number in sorted(_own_rules().Match(text) or ()):
            kind, pattern = OWN[number][0], _compiled(OWN[number][1])
            found = [
                match[match.lastindex or 0]
                for match in pattern.finditer(text)
                if _KEYS in kind or not _is_in_base64(text, *match.span(match.lastindex or 0))
            ]
            if secrets := [(kind, secret) for secret in found if _is_secret(kind, secret, text)]:
                return secrets
        return []

    def _by_detectors(self, text: str) -> list[Secret]:
        """The secrets that detect-secrets finds."""
        if not _compiled(DETECTED).search(text):
            return []
        return [
            (kind, secret)
            for kind, secret, part in self._detectors.secrets(text)
            if not is_placeholder(secret)
            and not (kind == _LOGIN and is_harmless_login(text, part))
            and not _is_in_base64(text, start := text.find(part), start + len(part))
        ]

    def _by_gitleaks(self, text: str) -> list[Secret]:
        """The secrets that a rule of gitleaks finds."""
        return [
            (kind, secret)
            for kind, secret, start, end in gitleaks_rules.matches(text)
            if not is_placeholder(secret) and any(map(str.isdigit, secret)) and not _is_in_base64(text, start, end)
        ]

    def _by_assignment(self, text: str, escaped: str) -> list[Secret]:
        """Values that are assigned to a name such as `token` and look random, or to one such as `password`."""
        found = [
            match["value"]
            for pattern, quoted in zip(PASSWORDS, (True, False, True), strict=True)
            for match in _matches(pattern, text)
            if is_password(match["name"], match["value"], quoted=quoted, separator=match["separator"].strip(" \t\"']"))
            and not _is_told(escaped, match["value"])
        ]
        found += [
            match["value"]
            for pattern in TOKENS
            for match in _matches(pattern, text)
            if is_random(match["value"], match["name"], in_address=text[: match.start()].endswith(("?", "&")))
            and not _is_in_base64(text, *match.span("value"))
            and not ("pass" in match["name"].lower() and _is_told(escaped, match["value"]))
        ]
        return [("password or key", value) for value in dict.fromkeys(found)]

    @cached_property
    def _detectors(self) -> Detectors:
        return Detectors()


@cache
def _prefilter(pattern: str) -> re.Pattern[bytes]:
    """An expression that RE2 searches for in one pass, 30 times as fast as `re`."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 64 << 20
    return cast("re.Pattern[bytes]", re2.compile(pattern.encode(), options))


@cache
def _own_rules() -> Any:  # noqa: ANN401 - RE2 has no types
    """Our own rules, as RE2 searches for all of them at once."""
    import re2

    found = re2.Set.SearchSet()
    for _, pattern in OWN:
        found.Add(pattern)
    found.Compile()
    return found


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _quick(pattern: str) -> re.Pattern[str]:
    import re2

    return cast("re.Pattern[str]", re2.compile(pattern))


def _matches(pattern: str, text: str) -> Iterator[re.Match[str]]:
    """All matches of an expression. Most texts have none, which RE2 knows a hundred times as fast."""
    return _compiled(pattern).finditer(text) if _quick(pattern).search(text) else iter(())


def _is_secret(kind: str, secret: str, text: str) -> bool:
    if kind == _LOGIN and is_harmless_login(text, secret):
        return False
    if kind in _WEAK and (is_uuid(secret) or not (any(map(str.isdigit, secret)) or is_mixed_by_chance(secret))):
        return False  # a UUID names a file in many public addresses
    return not is_placeholder(secret)


def _is_told(text: str, value: str) -> bool:
    """Whether a value lies in a message of a conversation."""
    return _TOLD.search(text[: text.find(value)]) is not None


def _is_in_base64(text: str, start: int, end: int) -> bool:
    """Whether the place lies in a long run of base64, such as a picture in a notebook."""
    left, right = start, end
    while left > 0 and start - left < _RUN and (text[left - 1].isalnum() or text[left - 1] in "+/"):
        left -= 1
    while right < len(text) and right - end < _RUN and (text[right].isalnum() or text[right] in "+/="):
        right += 1
    return (start - left) + (right - end) >= _RUN
