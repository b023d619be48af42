"""How far long work is: an engine counts its bytes in a meter, and a display reads the meters whenever it likes.

Counting costs an addition, whether anybody looks or not.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import BinaryIO, Self, cast

from .reading import Reading, View, amount, duration

DOWNLOADING = "downloading"
UPLOADING = "uploading"
MAKING_LAYERS = "making layers"
"""Kinds of work that several engines count."""

WINDOW = 15.0
"""Seconds over which a rate is measured: long enough for a steady figure, short enough to show a change."""

_SOON = 0.5
"""Seconds of measuring before there is a rate."""

_BETWEEN = 0.2
"""Seconds between two samples of a rate."""


class Meter:
    """How far one kind of work is, such as "downloading". Threads may share it.

    Args:
        what: The kind of work.
        clock: A monotonic clock, seconds.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.what = what
        self._clock = clock
        self._lock = threading.Lock()
        self._done = self._total = self._unknown = 0
        self._samples: deque[tuple[float, int]] = deque()

    def item(self, size: int | None) -> Item:
        """Announces one more piece of work; it begins when something is added to it.

        Args:
            size: Bytes, also an estimate; None when unknown.
        """
        self.change(total=size or 0, unknown=int(size is None))
        return Item(self, size)

    def change(self, done: int = 0, total: int = 0, unknown: int = 0) -> None:
        """Adds to the bytes that are done, to those of all pieces, and to the number of pieces of unknown size."""
        with self._lock:
            if done and not self._samples:
                self._samples.append((self._clock(), self._done))
            self._done += done
            self._total += total
            self._unknown += unknown

    def reading(self) -> Reading | None:
        """How far the work is now; None before its beginning and after its end."""
        with self._lock:
            done, total, known = self._done, self._total, not self._unknown
            rate = self._rate()
        if not self._samples or (known and done >= total):
            return None
        known = known and total > 0
        return Reading(
            what=self.what,
            part=done / total if known else None,
            amount=amount(done, total if known else None),
            speed=f"{amount(round(rate))}/s" if rate else "",
            left=(total - done) / rate if rate and known else None,
        )

    def _rate(self) -> float | None:
        """Bytes a second in the last `WINDOW` seconds; None when too little time has passed."""
        if not self._samples:
            return None
        now, samples = self._clock(), self._samples
        if now - samples[-1][0] >= _BETWEEN:
            samples.append((now, self._done))
        while len(samples) > 2 and now - samples[1][0] > WINDOW:
            samples.popleft()
        begin, before = samples[0]
        return max(self._done - before, 0) / (now - begin) if now - begin >= _SOON else None


class Item:
    """A piece of a meter's work, such as one file. Only one thread at a time may use it."""

    def __init__(self, meter: Meter, size: int | None) -> None:
        self._meter = meter
        self._size = size
        self._done = 0
        self._skipped = 0

    def add(self, count: int) -> None:
        """So many bytes more are done."""
        self._done += count
        self._meter.change(done=count)

    def reach(self, at: int) -> None:
        """So many bytes of the piece are done."""
        self.add(at - self._done)

    def resume(self, at: int = 0) -> None:
        """The piece goes on at this byte, because the ones before are there; it begins again at 0."""
        skipped = max(at - self._done, 0) if at >= self._done + self._skipped else min(self._skipped, at)
        done = at - skipped
        known = self._size is not None
        self._meter.change(done=done - self._done, total=self._skipped - skipped if known else 0)
        self._done, self._skipped = done, skipped

    def close(self) -> None:
        """The piece is over, whole or not: what was not done needs no doing any more."""
        if self._size is None:
            self._meter.change(total=self._done, unknown=-1)
        else:
            self._meter.change(total=self._done + self._skipped - self._size)
        self._size = self._done + self._skipped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reading(self, opened: Callable[[], BinaryIO]) -> Callable[[], BinaryIO]:
        """As `opened`, but what is read is counted; each call begins the piece again."""

        def counted() -> BinaryIO:
            body = opened()
            self.resume()
            return cast("BinaryIO", CountedReader(body, self.add))

        return counted

    def writing(self, out: BinaryIO) -> BinaryIO:
        """As `out`, but what is written is counted."""
        return cast("BinaryIO", CountedWriter(out, self.add))


class CountedReader:
    """A stream whose bytes are counted as they are read."""

    def __init__(self, body: BinaryIO, count: Callable[[int], None]) -> None:
        self._body = body
        self._count = count

    def read(self, size: int = -1) -> bytes:
        """Reads up to `size` bytes; all without it."""
        data = self._body.read(size)
        self._count(len(data))
        return data

    def close(self) -> None:
        """Closes the stream."""
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class CountedWriter:
    """A stream whose bytes are counted as they are written."""

    def __init__(self, out: BinaryIO, count: Callable[[int], None]) -> None:
        self._out = out
        self._count = count

    def write(self, data: bytes, /) -> int:
        """Writes all of `data`; returns its length."""
        self._out.write(data)
        self._count(len(data))
        return len(data)


class Meters:
    """The meters of one step, by the kind of work; made on first use. Threads may share it.

    Args:
        clock: A monotonic clock, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meters: dict[str, Meter] = {}

    def __getitem__(self, what: str) -> Meter:
        return self._meters.setdefault(what, Meter(what, self._clock))

    def readings(self) -> tuple[Reading, ...]:
        """How far each kind of work is that goes on now."""
        return tuple(found for meter in list(self._meters.values()) if (found := meter.reading()))


class StepSource:
    """The source of a display for work that is one step.

    Args:
        step: The step's name.
        doing: What it does while nothing is counted.
        meters: What it counts.
        clock: A monotonic clock, seconds.
    """

    def __init__(self, step: str, doing: str, meters: Meters, clock: Callable[[], float] = time.monotonic) -> None:
        self._step, self._doing, self._meters, self._clock = step, doing, meters, clock
        self._began = clock()

    def view(self) -> View:
        """What is going on now."""
        passed = self._clock() - self._began
        return View(self._step, passed, self._meters.readings() or (Reading(self._doing, None, duration(passed)),))
