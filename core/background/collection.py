"""Python's collector of reference cycles, for code that makes hundreds of thousands of objects that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_RARELY = 200_000, 20, 100


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Has the collector begin after 200,000 new objects instead of 700, in the whole process; also a decorator.

    While a long list grows it goes through the same objects again and again, for a quarter of the time.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)
