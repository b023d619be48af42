"""Shows what takes long: bars on a terminal, a line now and then elsewhere.

Bars are drawn below the lines of the steps, by a thread of their own, and vanish when the work ends. rich draws them,
but not through its own printing: that would draw all bars anew for each line of a talkative training.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from ...core.metering.reading import Reading, Source, View
from .lines import LINES, terminal_width

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

EVERY = 0.25
"""Seconds between two drawings of the bars."""

PATIENCE = 1.0
"""Seconds before a step's bars appear."""

FIRST_LINE = 5.0
"""Seconds before the first line where no terminal is; the next ones follow after twice as long each."""

LONGEST = 60.0
"""Most seconds between two lines."""

_BAR_FROM = 70
"""Columns from which there is room for bars beside the figures."""


class ProgressDisplay:
    """Shows what a source does, within a `with` block.

    Args:
        source: What is shown from the beginning; `follow` gives another one.
        stream: Where to. Default: standard error.
        clock: A monotonic clock, seconds.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._source = source
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="display")
        shown = _Bars if is_terminal(self._stream) else _Lines
        self._shown: _Bars | _Lines = shown(self._stream, clock)

    def follow(self, source: Source) -> None:
        """Shows this source from now on."""
        self._source = source

    def __enter__(self) -> Self:
        LINES.before = self._shown.hide
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with LINES.lock:
            self._shown.hide()
            LINES.before = None

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            if self._source is None:
                continue
            view = self._source.view()
            with LINES.lock:
                self._shown.show(view)


def is_terminal(stream: TextIO) -> bool:
    """Whether bars can be drawn there."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb", "unknown"}


class _Bars:
    """Draws bars at the end of what the terminal shows."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:  # noqa: ARG002 - as `_Lines`
        self._stream = stream
        self._console: Console | None = None
        self._live: Live | None = None

    def show(self, view: View) -> None:
        if not view.step or view.seconds < PATIENCE:
            self.hide()
            return
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=self._stream, highlight=False)
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
        self._console.width = width = terminal_width(self._stream) or self._console.width
        self._live.update(_table(view, width))
        if self._live.is_started:
            self._live.refresh()
        else:
            self._live.start(refresh=True)

    def hide(self) -> None:
        if self._live is not None and self._live.is_started:
            self._live.stop()
            self._live = None


def _table(view: View, width: int) -> RenderableType:
    """A row for each reading, at most as wide as the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, min_width=8)
    bars = width >= _BAR_FROM
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=None if bars else 1)
    if bars:
        table.add_column(no_wrap=True, ratio=1)
    for _ in range(3):
        table.add_column(no_wrap=True, justify="right")
    for index, reading in enumerate(view.readings):
        step = Text(view.step if index == 0 else "", style="bold")
        bar = [_bar(reading)] if bars else []
        table.add_row(step, Text(reading.what), *bar, reading.amount, reading.speed, reading.remaining)
    return table


def _bar(reading: Reading) -> RenderableType:
    from rich.progress_bar import ProgressBar

    return "" if reading.part is None else ProgressBar(total=1.0, completed=reading.part)


class _Lines:
    """Prints a line now and then."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._step = ""
        self._due = 0.0
        self._pause = FIRST_LINE

    def show(self, view: View) -> None:
        if view.step != self._step:
            self._step = view.step
            self._pause = FIRST_LINE
            self._due = self._clock() - view.seconds + FIRST_LINE
        if not view.step or self._clock() < self._due:
            return
        self._due = self._clock() + self._pause
        self._pause = min(2 * self._pause, LONGEST)
        for reading in view.readings:
            self._stream.write(f"{view.step:<8} {reading}\n")
        self._stream.flush()

    def hide(self) -> None:
        """Nothing: lines stay."""
