"""A run's progress bar: by its finished steps, and during the job by the epochs or steps in its log."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from .artifacts import artifact_key, optional_display

SHARES = {"fetch": 2, "verify": 5, "freeze": 5, "build": 10, "push": 6, "submit": 2, "watch": 68, "receipt": 2}
"""Each step's share of the bar, percent; the job takes most of the time."""

EVERY = 2.0
"""Seconds between updates, and before the first one: shorter runs have no bar."""

_PART = re.compile(r"\b(epoch|step|iteration|iter)s?\b\W{0,4}(\d+)\s*(?:/|of)\s*(\d+)", re.IGNORECASE)
_TOTALS = ("{}s", "total_{}s", "num_{}s", "max_{}s", "total_{}", "max_{}")


class Progress:
    """The progress bar of one run; it never moves back.

    Args:
        clock: A monotonic clock, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written = clock()
        self._artifact: UUID | None = None
        self._done = 0.0
        self._share = 0.0
        self._part = 0.0

    @property
    def percent(self) -> float:
        """Progress from 0 to 100."""
        return min(100.0, self._done + self._share * self._part)

    def begin(self, step: str) -> None:
        """A step starts."""
        self._share, self._part = float(SHARES.get(step, 0)), 0.0
        self._write(step)

    def inside(self, part: float, words: str) -> None:
        """The current step has reached `part`, from 0 to 1."""
        if part > self._part:
            self._part = min(part, 1.0)
            self._write(words)

    def finish(self) -> None:
        """The current step has ended."""
        self._done += self._share
        self._share = 0.0

    def close(self, words: str, *, whole: bool) -> None:
        """The run has ended; a bar that is shown gets a last text.

        Args:
            words: The text.
            whole: Whether the run succeeded; then the bar is full.
        """
        if whole:
            self._done, self._share = 100.0, 0.0
        if self._artifact:
            self._written = float("-inf")
            self._write(words)

    def _write(self, words: str) -> None:
        if self._clock() < self._written + EVERY:
            return
        self._written = self._clock()
        with optional_display():
            if self._artifact is None:
                made = create_progress_artifact(self.percent, key=artifact_key("progress"), description=words)
                self._artifact = made if isinstance(made, UUID) else None
            else:
                update_progress_artifact(self._artifact, progress=self.percent, description=words)


_CURRENT: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def shown(progress: Progress) -> Iterator[None]:
    """Makes it the current progress bar for tasks that run inside."""
    token = _CURRENT.set(progress)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Progress | None:
    """The current progress bar, if there is one."""
    return _CURRENT.get()


def part_done(text: str, fields: Mapping[str, Any]) -> tuple[str, float] | None:
    """Reads the training's progress from a log line.

    Args:
        text: The line, as `epoch 3/20`, `Epoch: 3 of 20`, `step 100/1000`.
        fields: Fields of a JSON line, as `{"epoch": 3, "epochs": 20}`.

    Returns:
        The unit ("epoch", "step" or "iteration") and the progress, from 0 to 1; None for other lines.
    """
    for unit in ("epoch", "step", "iteration"):
        at = _number(fields.get(unit))
        total = next((_number(fields[name]) for form in _TOTALS if (name := form.format(unit)) in fields), 0.0)
        if 0 <= at <= total and 0 < total < math.inf:
            return unit, at / total
    if (found := _PART.search(text)) and int(found[3]) > 0 and int(found[2]) <= int(found[3]):
        unit = found[1].lower()
        return ("iteration" if unit == "iter" else unit), int(found[2]) / int(found[3])
    return None


def _number(value: object) -> float:
    """The value, or -1 if it is no number."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else -1.0
