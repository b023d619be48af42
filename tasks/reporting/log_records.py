"""Writes a job's lines into the run's log as few records, no faster than Prefect's server takes them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator

from prefect.settings import get_current_settings

from .step_log import LogFunction

RECORD = 16_000
"""Most bytes of one record of several lines; Prefect Cloud takes 25,000."""

BURST = 32_000_000
"""Bytes that may be written at once."""

RATE = 250_000
"""Bytes that may be written in a second over a longer time."""

TELL_EVERY = 30.0
"""Seconds between two lines that say how many were left out."""


class LogRecords:
    """The records of one job's lines.

    Args:
        log: Writes a record.
        left_out: Writes how many lines were left out; the number comes first.
        place: Where all lines are, for the same message.
        clock: A monotonic clock, seconds.
    """

    def __init__(
        self, log: LogFunction, left_out: LogFunction, place: str = "", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._left_out = left_out
        self._place = place
        self._clock = clock
        self._longest = get_current_settings().logging.to_api.max_log_size - 1_000
        self._tokens = float(BURST)
        self._filled = self._told = clock()
        self._omitted = 0

    def split(self, text: str) -> Iterator[str]:
        """The lines of a message, as they are written: one that Prefect would cut becomes several."""
        for line in text.split("\n"):
            size = self._longest // 6  # one character takes up to six bytes in JSON
            if len(line) <= size or _size(line) <= self._longest:
                yield line
            else:
                yield from (line[begin : begin + size] for begin in range(0, len(line), size))

    def write(self, lines: Iterable[str]) -> None:
        """Writes lines in order. Where there are too many, later ones are counted instead."""
        self._refill()
        record: list[str] = []
        size = 0
        for line in lines:
            needed = _size(line)
            if self._omitted or needed > self._tokens:
                self._omitted += 1
                continue
            if record and size + needed > RECORD:
                self._log("\n".join(record))
                record, size = [], 0
            record.append(line)
            size += needed
            self._tokens -= needed
        if record:
            self._log("\n".join(record))
        if self._omitted and self._clock() >= self._told + TELL_EVERY:
            self.tell()

    def tell(self) -> None:
        """Says how many lines were left out since the last time; further lines are written again."""
        if self._omitted:
            place = f": {self._place}" if self._place else ""
            verb = "line is" if self._omitted == 1 else "lines are"
            self._left_out(
                f"{self._omitted:,} {verb} left out here, because the job writes faster than Prefect can show; "
                f"they are in the job's log{place}"
            )
        self._omitted, self._told = 0, self._clock()

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
        self._filled = now


def _size(line: str) -> int:
    """Bytes of a line in a request to Prefect's server."""
    return len(json.dumps(line))
