"""Scan of one file's bytes for secrets."""

from __future__ import annotations

import hashlib

from .finding import Finding
from .search import SecretSearch, is_allowed

_BINARY_HEAD = 8000
"""A file with a zero byte in its first 8000 bytes is binary, as for git."""
_OVERLAP = 4096
"""Bytes of a block that are scanned again with the next one, for secrets that lie across both."""
_AROUND = 240
"""Bytes before and after a suspicious place that the exact rules see."""
_AFTER = _AROUND // 2
"""Bytes after a further suspicious place of a long line with which it was seen well enough together with the first one:
a text of nothing but such places must not be looked at once for each."""
_MOST = 1000
"""Findings of one file, after which it is not searched on: a person takes such a file out, or allows all of it."""
_UTF16 = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def is_binary(block: bytes) -> bool:
    """Whether a file is binary, judged by its first block."""
    if block[:2] in _UTF16:
        return b"\0" in as_utf8(block)[:_BINARY_HEAD]
    return block.find(0, 0, _BINARY_HEAD) >= 0


def as_utf8(block: bytes) -> bytes:
    """A file's first block in UTF-8, the encoding that the rules expect; only UTF-16 is converted."""
    encoding = _UTF16.get(block[:2])
    return block if encoding is None else block.decode(encoding, "replace").encode()


class SecretScan:
    """Scans one file that is given in blocks.

    Args:
        search: The rules.
    """

    def __init__(self, search: SecretSearch) -> None:
        self._search = search
        self._line = 1
        self._tail = b""
        self._binary: bool | None = None
        self._found: dict[Finding, None] = {}

    @property
    def findings(self) -> list[Finding]:
        """The findings so far, by line."""
        return sorted(self._found)

    def feed(self, block: bytes, *, last: bool = False) -> None:
        """Scans the next block; a secret may begin in the block before.

        Args:
            block: The bytes that follow those of the last call.
            last: Whether the file ends here, so that nothing has to be kept for a next block.
        """
        if self._binary is None:
            self._binary = is_binary(block)
            block = as_utf8(block)
        if self._binary:
            return
        text = self._tail + block if self._tail else block
        seen = -1  # most places of a line are seen with its first one
        for start, end in self._search.suspicious_spans(text):
            if end > seen and len(self._found) < _MOST:
                seen = self._look_at(text, start, end)
        if last:
            return
        self._tail = text[-_OVERLAP:]
        self._line += text.count(b"\n", 0, len(text) - len(self._tail))

    def _look_at(self, text: bytes, start: int, end: int) -> int:
        """Applies the exact rules around a suspicious place; returns where the part ends that they saw."""
        left = max(text.rfind(b"\n", 0, start) + 1, start - _AROUND)
        right = text.find(b"\n", end, end + _AROUND)
        last = right if right >= 0 else end + _AROUND
        around = text[left:last].decode("utf-8", "replace")
        if is_allowed(text[left : end + 4 * _AROUND].decode("utf-8", "replace")):
            return end
        line = self._line + text.count(b"\n", 0, start)
        for kind, secret in self._search.secrets(around):
            digest = hashlib.sha256(f"{kind}\0{secret}".encode()).hexdigest()[:12]
            self._found[Finding(line, kind, digest)] = None
        return last if right >= 0 else max(end, last - _AFTER)
