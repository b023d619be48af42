"""Scan of many small texts for secrets, some megabytes at a time, in a second thread."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate

from .finding import Finding
from .scan import SecretScan, as_utf8
from .search import SecretSearch

_BATCH = 4 << 20
"""Bytes in a batch. RE2 releases the interpreter's lock; getting it back takes up to 5 ms, too long for every file."""

Texts = list[tuple[str, bytes]]


class SecretBatches:
    """Collects texts and scans them; a context manager that waits for the thread at its end.

    Args:
        size: Bytes of text that are scanned at once; about three times as many are in memory.

    Attributes:
        search: The rules; they are loaded once for all texts.
    """

    def __init__(self, size: int = _BATCH) -> None:
        self.search = SecretSearch()
        self._size = size
        self._texts: Texts = []
        self._collected = 0
        self._running: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="secrets")  # starts with the first batch
        self._found: dict[str, list[Finding]] = {}

    def __enter__(self) -> SecretBatches:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(wait=True)

    def add(self, path: str, text: bytes) -> None:
        """Adds the whole content of a file that is not binary."""
        self._texts.append((path, text))
        self._collected += len(text)
        if self._collected >= self._size:
            self._wait()
            self._running = self._thread.submit(self._scan, self._texts)
            self._texts, self._collected = [], 0

    def finish(self) -> dict[str, list[Finding]]:
        """Scans the rest and returns all findings, by path."""
        if self._texts:
            self._scan(self._texts)
        self._texts, self._collected = [], 0
        self._wait()
        return self._found

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()

    def _scan(self, texts: Texts) -> None:
        for path, text in self._suspicious(texts):
            scan = SecretScan(self.search)
            scan.feed(text, last=True)
            if scan.findings:
                self._found[path] = scan.findings

    def _suspicious(self, texts: Texts) -> Iterator[tuple[str, bytes]]:
        """The texts that have a suspicious place, found by one search over all of them, joined by line breaks.

        These are all texts that have one by themselves, and perhaps more: no rule depends on what comes before or
        after a line break, and a match that hides a later one reaches into the text of that one.
        """
        parts = [as_utf8(text) for _, text in texts]
        ends = list(accumulate(len(part) + 1 for part in parts))
        following = 0
        for start, end in self.search.suspicious_spans(b"\n".join(parts)):
            first = max(following, bisect_right(ends, start))
            following = max(following, bisect_left(ends, end) + 1)
            yield from texts[first:following]
