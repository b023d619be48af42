"""Finds secrets in many small texts: a few megabytes at a time, in a thread beside whoever reads the files."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate

from .scan import Finding, SecretScan, as_utf8, suspicious_spans

_BATCH = 4 << 20
"""Bytes. RE2 searches without the interpreter's lock; to get that back takes up to 5 ms, too long for each file."""

Texts = list[tuple[str, bytes]]


class SecretBatches:
    """Gathers texts and scans them; leaving its block waits for the thread.

    Args:
        size: Bytes of text that are scanned at once; about three times as many are held.
    """

    def __init__(self, size: int = _BATCH) -> None:
        self._size = size
        self._texts: Texts = []
        self._gathered = 0
        self._running: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="secrets")  # begins with the first batch
        self._found: dict[str, list[Finding]] = {}

    def __enter__(self) -> SecretBatches:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(wait=True)

    def add(self, path: str, text: bytes) -> None:
        """A whole file's content, which is not binary."""
        self._texts.append((path, text))
        self._gathered += len(text)
        if self._gathered >= self._size:
            self._wait()
            self._running = self._thread.submit(self._scan, self._texts)
            self._texts, self._gathered = [], 0

    def finish(self) -> dict[str, list[Finding]]:
        """What was found, by path, in all that was added."""
        self._scan(self._texts)
        self._texts, self._gathered = [], 0
        self._wait()
        return self._found

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()

    def _scan(self, texts: Texts) -> None:
        for path, text in _suspects(texts):
            scan = SecretScan()
            scan.feed(text, last=True)
            if scan.findings:
                self._found[path] = scan.findings


def _suspects(texts: Texts) -> Iterator[tuple[str, bytes]]:
    """The texts that a suspicious span of all, one behind the other, touches.

    Those are all that have such a span when alone, and perhaps more: no rule asks what comes before a line break or
    after it, and a span that hides a later one reaches into that one's text.
    """
    parts = [as_utf8(text) for _, text in texts]
    ends = list(accumulate(len(part) + 1 for part in parts))
    following = 0
    for start, end in suspicious_spans(b"\n".join(parts)):
        first = max(following, bisect_right(ends, start))
        following = max(following, bisect_left(ends, end) + 1)
        yield from texts[first:following]
