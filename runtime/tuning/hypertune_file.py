"""The file in which a trial reports its metric to Vertex AI's tuning, written from the lines that the script prints.

Its form is that of the package cloudml-hypertune: a JSON object in each line, the last 100 reports.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Callable, List, Mapping, Optional

from .metric_lines import STEPS, document_numbers, line_numbers

HYPERTUNE_VARIABLE = "CLOUD_ML_HP_METRIC_FILE"
"""The variable by which Vertex AI's tuning names the file, and by which cloudml-hypertune finds it."""

TRIAL_VARIABLE = "CLOUD_ML_TRIAL_ID"

REPORTS = 100
"""Reports that the file keeps, as cloudml-hypertune does."""

EVERY = 1.0
"""Least seconds between two writes: an object in a bucket may be written once a second."""

_LONGEST_LINE = 1 << 16


class HypertuneFile:
    """Writes the metric that a script prints. A script that writes the file itself is left alone.

    Args:
        metric: The metric's name.
        path: The file.
        trial: The trial's id.
        say: Shows a line in the job's log.
    """

    def __init__(self, metric: str, path: str, trial: str, say: Callable[[str], None]) -> None:
        self._metric = metric
        self._path = path
        self._trial = trial
        self._say = say
        self._lock = threading.Lock()
        self._timer: Optional[threading.Timer] = None
        self._written = float("-inf")
        self._text = self._read()  # an earlier start of this script in the same job may have reported
        self._lines = self._text.splitlines()
        self._count = self._step = 0
        self._fractions = False
        self._changed = self._ended = self._refused = False

    def stream(self) -> "Callable[[bytes], None]":
        """A reader for one of the script's streams: it takes what was printed, and nothing at the end."""
        lines = _Lines()

        def take(data: bytes) -> None:
            for line in lines.feed(data):
                self.take_line(line)

        return take

    def take_line(self, line: str) -> None:
        """Reports the metric if the line has it."""
        if self._metric.rpartition(".")[2] not in line:
            return
        numbers = line_numbers(line)
        if self._metric in numbers:
            with self._lock:
                self._append(numbers[self._metric], numbers)
                self._write_soon()

    def end(self, document: str) -> None:
        """Writes what is left when the script has ended.

        Args:
            document: The text of metrics.json in the model's folder, which comes before what was printed; empty for
                none.
        """
        with self._lock:
            value = document_numbers(document).get(self._metric)
            if value is not None:
                self._append(value, {"step": float(self._step + 1)} if self._count else {})
            self._ended = True
            if self._timer is not None:
                self._timer.cancel()
            self._write()

    def _append(self, value: float, numbers: Mapping[str, float]) -> None:
        self._count += 1
        self._step = self._step_of(numbers)
        report = {
            "timestamp": time.time(),
            "trial": self._trial,
            self._metric: str(value),
            "global_step": str(self._step),
            "checkpoint_path": "",
        }
        self._lines = [*self._lines, json.dumps(report)][-REPORTS:]
        self._changed = True

    def _step_of(self, numbers: Mapping[str, float]) -> int:
        """The step that a line names; how many reports there were where it names none, or a fraction of an epoch."""
        step = next((numbers[name] for name in STEPS if name in numbers), None)
        self._fractions = self._fractions or (step is not None and not step.is_integer())
        return self._count if step is None or self._fractions else int(step)

    def _write_soon(self) -> None:
        """Writes now, or when the last write is a while ago."""
        left = self._written + EVERY - time.monotonic()
        if left <= 0:
            self._write()
        elif self._timer is None:
            self._timer = threading.Timer(left, self._write_late)
            self._timer.daemon = True
            self._timer.start()

    def _write_late(self) -> None:
        with self._lock:
            self._timer = None
            if not self._ended:
                self._write()

    def _write(self) -> None:
        if not self._changed:
            return
        self._changed = False
        if self._read() != self._text:  # the script, or a package in it, writes the file itself
            return
        text = "".join("%s\n" % line for line in self._lines)
        try:
            os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
            with open(self._path, "w") as file:
                file.write(text)
        except OSError as error:
            if not self._refused:
                self._say("sweep: %s can't be reported in %s: %s" % (self._metric, self._path, error.strerror))
            self._refused = True
            return
        self._text, self._written = text, time.monotonic()

    def _read(self) -> str:
        try:
            with open(self._path) as file:
                return file.read()
        except (OSError, ValueError):
            return ""


class _Lines:
    """Splits a stream into lines; a progress bar's returns end lines, too."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> List[str]:
        """The lines that are whole now; all that is left when there is no more data."""
        parts = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        self._rest = parts.pop()[-_LONGEST_LINE:] if data else b""
        return [part.decode("utf-8", "replace") for part in parts if len(part) <= _LONGEST_LINE]
