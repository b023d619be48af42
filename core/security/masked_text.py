"""Masks the secrets that this process has read in every log line and message.

A process executes one flow run, apart from tests, so its secrets are kept for all of its threads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from threading import Lock

from ...runtime.masking import MASK, pattern


class _Secrets:
    """The secrets, and one expression for all their forms."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self._lock = Lock()

    def add(self, values: Iterable[str]) -> None:
        with self._lock:
            self._values |= frozenset(values)
            self._pattern = pattern(self._values)

    def mask(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(MASK, text)


_SECRETS = _Secrets()


def mask_from_now_on(values: Iterable[str]) -> None:
    """From now on `masked` replaces these secrets."""
    _SECRETS.add(values)


def masked(text: str) -> str:
    """The text with every secret replaced, also where it is encoded for a URL or in base64."""
    return _SECRETS.mask(text)
