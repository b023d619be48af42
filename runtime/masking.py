"""Masks secrets in text: plain, as a URL writes them, in base64, and line by line where a secret has several lines."""

from __future__ import annotations

import base64
import re
import urllib.parse
from typing import Iterable, Optional, Set

MASK = "********"
SHORTEST = 4
"""Characters below which a value isn't masked: it would be found in harmless text, as "1" in every number."""


def forms(value: str) -> Set[str]:
    """What a secret looks like in text."""
    found = set()
    lines = [value, value.strip(), *value.splitlines()]
    for part in {line for line in lines if len(line.strip()) >= SHORTEST}:
        encoded = part.encode("utf-8", "surrogateescape")
        found |= {
            part,
            urllib.parse.quote(encoded, safe=""),
            urllib.parse.quote(encoded),
            urllib.parse.quote_plus(encoded),
            base64.b64encode(encoded).decode().rstrip("="),
            base64.urlsafe_b64encode(encoded).decode().rstrip("="),
            part.replace("\\", "\\\\").replace('"', '\\"'),
        }
    return found


def pattern(values: Iterable[str]) -> "Optional[re.Pattern[str]]":
    """An expression that matches every form of these secrets, the longest first; None without any."""
    texts = sorted({form for value in values for form in forms(value)}, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, texts))) if texts else None


class StreamMask:
    """Masks secrets in a stream of bytes that arrives in pieces; holds back only what may be the start of a secret.

    Args:
        values: The secrets.
    """

    def __init__(self, values: Iterable[str]) -> None:
        texts = {form for value in values for form in forms(value)}
        secrets = sorted(
            {text.encode("utf-8", "surrogateescape") for text in texts}, key=lambda text: (-len(text), text)
        )
        self._pattern = re.compile(b"|".join(map(re.escape, secrets))) if secrets else None
        self._secrets = secrets
        self._longest = max(map(len, secrets), default=0)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The next bytes that can be passed on."""
        if self._pattern is None:
            return data
        text = self._held + data
        keep = self._start_of_a_secret(text)
        # A secret that ends before the held part is replaced; one that reaches into it is complete, and isn't held.
        self._held, text = text[keep:], text[:keep]
        return self._masked(text)

    def end(self) -> bytes:
        """The rest, at the end of the stream."""
        text, self._held = self._held, b""
        return self._masked(text)

    def _masked(self, text: bytes) -> bytes:
        return self._pattern.sub(MASK.encode(), text) if self._pattern else text

    def _start_of_a_secret(self, text: bytes) -> int:
        """Where the last bytes begin that may become a secret with the next piece; the length if there are none."""
        assert self._pattern is not None
        covered = 0
        for match in self._pattern.finditer(text):
            covered = match.end()
        for start in range(max(covered, len(text) - self._longest + 1), len(text)):
            if any(secret.startswith(text[start:]) for secret in self._secrets):
                return start
        return len(text)
