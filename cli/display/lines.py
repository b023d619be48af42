"""Lines on standard error, which take turns with progress bars below them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TextIO

_USUAL_WIDTH = 80
"""Columns of a terminal that doesn't tell its size."""


class Lines:
    """Who may write to the terminal now: the steps' lines and the progress bars below them take turns.

    Attributes:
        lock: Held while something is written.
        before: Called before a line is written: takes the bars away. None where no bars are.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.before: Callable[[], None] | None = None

    def write(self, text: str) -> None:
        """Writes whole lines to standard error."""
        with self.lock:
            if self.before:
                self.before()
            # Looked up for each text: the stream at the time when logging was set up may be closed by now.
            sys.stderr.write(text)
            sys.stderr.flush()


LINES = Lines()
"""The lines of this process."""


def terminal_width(stream: TextIO) -> int | None:
    """The columns of the terminal that a stream writes to; None where no terminal is."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError):
        return _USUAL_WIDTH
