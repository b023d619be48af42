"""Finds secrets in a file's bytes: one pass of RE2 over all of it, then detect-secrets over what that leaves."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, cast

from .rules import GENERIC, OWN, PLUGINS, PREFILTER

_BINARY_HEAD = 8000
"""Bytes in which a zero means that a file is not text; git's own measure."""
_OVERLAP = 4096
_AROUND = 240
_UTF16 = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class Finding(NamedTuple):
    """What looks like a secret; never the secret itself.

    Attributes:
        line: Of the file, from 1; 0 where the file's name alone tells.
        kind: In words.
        id: Of the secret, for the list of what is allowed: it stays when lines move.
    """

    line: int
    kind: str
    id: str


def is_binary(block: bytes) -> bool:
    """Whether a file that begins so is not text."""
    if block[:2] in _UTF16:
        return b"\0" in as_utf8(block)[:_BINARY_HEAD]
    return block.find(0, 0, _BINARY_HEAD) >= 0


def as_utf8(block: bytes) -> bytes:
    """A text's bytes in the encoding that the rules are written for; only those of UTF-16 change."""
    encoding = _UTF16.get(block[:2])
    return block if encoding is None else block.decode(encoding, "replace").encode()


def suspicious_spans(text: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of all that looks like a secret at first sight."""
    return (match.span() for match in _prefilter().finditer(text))


class SecretScan:
    """Scans one file, given in blocks."""

    def __init__(self) -> None:
        self._line = 1
        self._tail = b""
        self._binary: bool | None = None
        self._found: dict[Finding, None] = {}

    @property
    def findings(self) -> list[Finding]:
        """What was found so far, by line."""
        return sorted(self._found)

    def feed(self, block: bytes, *, last: bool = False) -> None:
        """Scans the next bytes; a secret may begin in the block before. Of the `last` ones no lines are counted."""
        if self._binary is None:
            self._binary = is_binary(block)
            block = as_utf8(block)
        if self._binary:
            return
        text = self._tail + block if self._tail else block
        for start, end in suspicious_spans(text):
            self._suspect(text, start, end)
        if last:
            return
        self._tail = text[-_OVERLAP:]
        self._line += text.count(b"\n", 0, len(text) - len(self._tail))

    def _suspect(self, text: bytes, start: int, end: int) -> None:
        left = max(text.rfind(b"\n", 0, start) + 1, start - _AROUND)
        right = text.find(b"\n", end, end + _AROUND)
        around = text[left : right if right >= 0 else end + _AROUND].decode("utf-8", "replace")
        if _is_allowed(text[left : end + 4 * _AROUND].decode("utf-8", "replace")):
            return
        line = self._line + text.count(b"\n", 0, start)
        for kind, secret in _secrets(around):
            digest = hashlib.sha256(f"{kind}\0{secret}".encode()).hexdigest()[:12]
            self._found[Finding(line, kind, digest)] = None


@cache
def _prefilter() -> re.Pattern[bytes]:
    """RE2 looks for all of it in one pass, 30 times as fast as `re`."""
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 64 << 20
    return cast("re.Pattern[bytes]", re2.compile(PREFILTER.encode(), options))


@cache
def _own() -> list[tuple[str, re.Pattern[str]]]:
    return [(kind, re.compile(pattern)) for kind, pattern in OWN]


@cache
def _generic() -> list[re.Pattern[str]]:
    return [re.compile(pattern) for pattern in GENERIC]


@cache
def _detectors() -> list[tuple[str, Any]]:
    """Loaded when there is something to decide: it takes a quarter of a second."""
    detectors = []
    for place, kind in PLUGINS.items():
        module, name = place.split(".")
        detectors.append((kind, getattr(import_module(f"detect_secrets.plugins.{module}"), name)()))
    return detectors


def _secrets(around: str) -> Iterator[tuple[str, str]]:
    """The kind and text of each secret in a piece of text, JSON's escapes undone; the surest rules first."""
    text = re.sub(r"\\u00([2-7][0-9a-fA-F])", lambda code: chr(int(code[1], 16)), around)
    found = False
    for kind, pattern in _own():
        for match in pattern.finditer(text):
            secret = match[match.lastindex or 0]
            if not _is_placeholder(secret):
                found = True
                yield kind, secret
        if found:
            return
    plain = re.sub(r"""\\(["'/])""", r"\1", text)
    for kind, detector in _detectors():
        for part in detector.analyze_string(plain):
            whole = re.search(re.escape(part) + r"[\w-]*", plain)  # some detectors give the beginning alone
            secret = whole[0] if whole else part
            if not _is_placeholder(secret) and not (kind == _ADDRESS and _is_harmless_address(plain, part)):
                found = True
                yield kind, secret
    if not found:
        values = (match[1] for pattern in _generic() for match in pattern.finditer(plain))
        yield from (("password or key", value) for value in values if _is_random(value))


_ADDRESS = PLUGINS["basic_auth.BasicAuthDetector"]
_PLACEHOLDER = re.compile(
    r"(?i)example|placeholder|change.?me|dummy|redacted|your[_-]|insert|replace.?me|x{6}|0{8}|1234567|abcdef|\*{3}|\.{3}"
    r"|^\W*(?:pass(?:word)?|passwd|pwd|secret|token|test)\W*$"
)
_REFERENCE = re.compile(r"^(?:[<{%$].*|.*[>}%]|\$\w+)$")


def _is_placeholder(secret: str) -> bool:
    return bool(_PLACEHOLDER.search(secret) or _REFERENCE.match(secret)) or len(set(secret)) < 4


def _is_harmless_address(text: str, password: str) -> bool:
    """As `postgres:postgres@localhost`, which opens nothing elsewhere, and `user:my-password@host` in a text."""
    before, _, after = text.partition(f":{password}@")
    user, host = before.rpartition("://")[2], re.split(r"[^\w.-]", after, maxsplit=1)[0]
    spoken = re.search(r"(?i)pass|secret|token|key|pwd", password) or not re.search(r"\d", password)
    return bool(spoken) or user == password or host in {"localhost", "127.0.0.1", "host", ""}


_NOT_RANDOM = re.compile(r"[(){}\[\]<>,;]|://|^[./~]|/.*/.*/|\$(?:2[aby]|[156]|argon2\w*|pbkdf2[\w-]*)\$")
"""Code, addresses, paths, and hashes of passwords."""


def _is_random(value: str) -> bool:
    """Letters and digits, mixed as words and names are not."""
    if _is_placeholder(value) or _NOT_RANDOM.search(value):
        return False
    lower, upper, digits = (any(map(test, value)) for test in (str.islower, str.isupper, str.isdigit))
    is_hex = len(value) >= 32 and re.fullmatch(r"[0-9a-fA-F]+", value) is not None
    return digits and ((lower and upper) or is_hex) and _entropy(value) > 3.2


def _entropy(value: str) -> float:
    """Bits a character."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())


_ALLOWED = re.compile(r"pragma: ?(?:allow|white)list[ -]secret")


def _is_allowed(line: str) -> bool:
    """Whether the line has detect-secrets' own comment."""
    return _ALLOWED.search(line.split("\n", 1)[0]) is not None
