"""How far a run is: a bar in Prefect's UI, by its finished steps and by what the current one counts.

A step's engine counts bytes in `Progress.meters`; `watch` and `verify` read epochs or steps in the log. Whoever else
wants to show it, such as the command line, follows the run's `Progress` and reads its `view`.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from ...core.metering.meter import Meters
from ...core.metering.reading import Reading, View, duration
from ...core.security.parsed_text import parse_json
from .artifacts import artifact_key, optional_display

SHARES = {"fetch": 2, "verify": 5, "freeze": 5, "build": 10, "push": 6, "submit": 2, "watch": 68, "receipt": 2}
"""Each step's share of the bar, percent; the job takes most of the time."""

DOING = {
    "preflight": "checking the project",
    "fetch": "cloning the repository",
    "verify": "running the script here",
    "freeze": "resolving the dependencies",
    "build": "building the image",
    "push": "sending the image",
    "submit": "creating the job",
    "watch": "waiting for the job",
    "receipt": "checking the model",
}
"""What a step does, until it says more."""

JOB_PHASES = {
    "JOB_STATE_QUEUED": "waiting in the queue",
    "JOB_STATE_PENDING": "waiting for a machine",
    "JOB_STATE_RUNNING": "training",
    "JOB_STATE_CANCELLING": "ending the job",
}
"""What a job does in each state in which it can stay for long."""

_WAITING = ("JOB_STATE_QUEUED", "JOB_STATE_PENDING")

EVERY = 2.0
"""Seconds between updates, and before the first one: shorter runs have no bar."""

AFTER_FAILURE = 30.0
"""Seconds until the next update after one that failed: each failure is a line in the run's log."""

_PART = re.compile(r"\b(epoch|step|iteration|iter)s?\b\W{0,4}(\d{1,15})\s*(?:/|of)\s*(\d{1,15})(?!\d)", re.IGNORECASE)
_TOTALS = ("{}s", "total_{}s", "num_{}s", "max_{}s", "total_{}", "max_{}")


class Progress:
    """How far one run is; its bar never moves back. Threads may share it.

    Attributes:
        meters: What the current step counts.

    Args:
        clock: A monotonic clock, seconds.
        every: Seconds between updates of the bar, and before the first one. Each is a request to Prefect's server.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, every: float = EVERY) -> None:
        self._clock = clock
        self._every = every
        self._written = clock()
        self._artifact: UUID | None = None
        self._writing = threading.Lock()
        self._done = 0.0
        self._share = 0.0
        self._part = 0.0
        self._step = ""
        self._began = 0.0
        self._phase = _Phase("", 0.0)
        self._machine = ""
        self._longest_wait: float | None = None
        self.meters = Meters(clock)

    @property
    def percent(self) -> float:
        """Progress from 0 to 100."""
        return min(100.0, self._done + self._share * self._part)

    def begin(self, step: str) -> None:
        """A step starts."""
        self._share, self._part = float(SHARES.get(step, 0)), 0.0
        self.meters = Meters(self._clock)
        self._step, self._began = step, self._clock()
        self.phase(DOING.get(step, step))
        if follow := _FOLLOWER.get():
            follow(self)
        self._write(step)

    def phase(self, words: str, limit: float | None = None) -> None:
        """The current step does something else now.

        Args:
            words: What it does, as "waiting for a machine".
            limit: Seconds after which it ends in any case; None where nothing ends it.
        """
        self._phase = _Phase(words, self._clock(), limit)

    def expect_machine(self, machine: str, limit: float | None) -> None:
        """The step's job will wait for this machine.

        Args:
            machine: As "a2-highgpu-1g"; empty where it says nothing.
            limit: Seconds after which the service gives up.
        """
        self._machine, self._longest_wait = machine, limit

    def state(self, state: str) -> None:
        """The step's job has this state now; only those in which it can stay for long are shown."""
        words = JOB_PHASES.get(state)
        if words and state in _WAITING:
            self.phase(f"{words}: {self._machine}" if self._machine else words, self._longest_wait)
        elif words:
            self.phase(words)

    def inside(self, part: float, words: str) -> None:
        """The current step has reached `part`, from 0 to 1."""
        if part > self._part:
            self._part = min(part, 1.0)
            self._phase = self._phase.at(self._part, words)
            self._write(words)

    def view(self) -> View:
        """What the run does now."""
        now = self._clock()
        readings = self.meters.readings() or (self._phase.reading(now),)
        return View(self._step, now - self._began, readings if self._step else ())

    def tick(self) -> None:
        """Brings the bar up to date with what the current step has counted."""
        view = self.view()
        parts = [reading.part for reading in self.meters.readings() if reading.part is not None]
        if parts:
            self._part = max(self._part, sum(parts) / len(parts))
        if view.step:
            self._write("; ".join(map(str, view.readings)))

    def finish(self) -> None:
        """The current step has ended."""
        self._done += self._share
        self._share = 0.0
        self._step = ""

    def close(self, words: str, *, whole: bool) -> None:
        """The run has ended; a bar that is shown gets a last text.

        Args:
            words: The text.
            whole: Whether the run succeeded; then the bar is full.
        """
        self._step = ""
        if whole:
            self._done, self._share = 100.0, 0.0
        if self._artifact:
            self._written = float("-inf")
            self._write(words, wait=True)

    def _write(self, words: str, *, wait: bool = False) -> None:
        """Writes the bar, unless it was written a moment ago or another thread does it now."""
        if self._clock() < self._written + self._every or not self._writing.acquire(blocking=wait):
            return
        try:
            self._written = self._clock()
            with optional_display():
                if self._artifact is None:
                    made = create_progress_artifact(self.percent, key=artifact_key("progress"), description=words)
                    self._artifact = made if isinstance(made, UUID) else None
                else:
                    update_progress_artifact(self._artifact, progress=self.percent, description=words)
                return
            self._written += AFTER_FAILURE
        finally:
            self._writing.release()


@dataclass(frozen=True, slots=True)
class _Phase:
    """What a step does, where nothing is counted.

    Attributes:
        words: For people.
        since: When it began, by the run's clock.
        limit: Seconds after which it ends in any case.
        part: How much of it is done, from 0 to 1; None when nobody knows.
    """

    words: str
    since: float
    limit: float | None = None
    part: float | None = None

    def at(self, part: float, words: str) -> _Phase:
        return replace(self, part=part, words=words)

    def reading(self, now: float) -> Reading:
        passed = now - self.since
        left = passed * (1 - self.part) / self.part if self.part else None
        limit = f" of at most {duration(self.limit)}" if self.limit and not self.part else ""
        return Reading(self.words, self.part, f"{duration(passed)}{limit}", "", left)


_CURRENT: ContextVar[Progress | None] = ContextVar("progress", default=None)

_FOLLOWER: ContextVar[Callable[[Progress], None] | None] = ContextVar("follower", default=None)


@contextmanager
def shown(progress: Progress) -> Iterator[None]:
    """Makes it the current progress for a step that runs inside, and keeps its bar up to date."""
    token = _CURRENT.set(progress)
    ended = threading.Event()
    # An artifact belongs to the run in whose context it is made.
    ticking = threading.Thread(target=copy_context().run, args=(_tick, progress, ended), daemon=True, name="progress")
    ticking.start()
    try:
        yield
    finally:
        ended.set()
        ticking.join()
        _CURRENT.reset(token)


def _tick(progress: Progress, ended: threading.Event) -> None:
    while not ended.wait(EVERY):
        progress.tick()


@contextmanager
def followed(follow: Callable[[Progress], None]) -> Iterator[None]:
    """Calls `follow` with the progress of a run that runs inside, at the begin of each step."""
    token = _FOLLOWER.set(follow)
    try:
        yield
    finally:
        _FOLLOWER.reset(token)


def current() -> Progress | None:
    """The current progress, if there is one."""
    return _CURRENT.get()


def step_meters() -> Meters:
    """The meters of the step that runs in this context; outside of a run some that nobody reads."""
    progress = current()
    return progress.meters if progress else Meters()


def show_line(what: str, text: str) -> None:
    """Moves the current progress by a line that a program printed, if it says how far the program is.

    Args:
        what: What the program is, as "the small workload".
        text: The line; a JSON object's fields are read, too.
    """
    progress = current()
    if progress and (found := part_done(text, _json_fields(text))):
        unit, part = found
        progress.inside(part, f"{what}: {part:.0%} of its {unit}s")


def _json_fields(text: str) -> Mapping[str, Any]:
    if not text.startswith("{"):
        return {}
    try:
        found = parse_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def show_state(state: str) -> None:
    """Shows what the current step's job does now."""
    if progress := current():
        progress.state(state)


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
    try:
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else -1.0
    except OverflowError:  # a whole number of hundreds of digits
        return -1.0
