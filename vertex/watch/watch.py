"""Following a job to its end by the service's word alone: a job can die before its container starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ...core.errors import TrainingError
from ..client.calls import KEY_LABEL, error_of, listed, patiently, seconds, state_of
from ..client.connection import Connection
from ..diagnosis import diagnose
from ..job_types import TERMINAL, LogLine, Outcome, State
from ..submit.submission import CREATES, keep_one
from .job_poller import Lookout, job_id, joined
from .log_reader import Cursor

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

T = TypeVar("T")

SHOWN_TAIL = 50
"""How many of the last lines an outcome carries."""

DRAIN_LIMIT = 60.0
"""Seconds after a job's end in which new lines are still read."""

LONGEST_DRAIN = 900.0
"""Seconds after a job's end in which the lines that it left are read, however many they are."""


def watch(
    connection: Connection,
    name: str,
    *,
    on_state: Callable[[State], None],
    on_line: Callable[[LogLine], None],
    created: float = 0.0,
    cursor: Cursor | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Follows a job until it has ended, and hands on its states and lines.

    Watches in the threads of one process share their reads: see `lookout`.

    While it watches it also keeps the promise of `submit`: other live jobs with the same key are cancelled. When the
    watched job is the one that goes, its elder is watched instead, and the outcome carries that one's name.

    Args:
        connection: Where to.
        name: As the service answered it.
        on_state: Called with the first state and with every change.
        on_line: Called with every line of the log, once each.
        created: When the job was created, seconds since 1970; spares a read where many jobs are watched.
        cursor: Of an earlier watch of the same job, whose lines are not handed on again.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.

    Returns:
        How it ended; a failed job is an outcome too, not an exception.

    Raises:
        VertexError: There is no such job, or it may not be read.
        VertexUnavailable, LocalServiceError: No answer for longer than the connection's patience.
    """
    return _Watch(connection, name, on_state, on_line, clock, sleep, created, cursor or Cursor()).run()


@dataclass
class _Watch:
    connection: Connection
    name: str
    on_state: Callable[[State], None]
    on_line: Callable[[LogLine], None]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    created: float
    cursor: Cursor
    state: State | None = None
    lookout: Lookout = field(init=False)

    def __post_init__(self) -> None:
        self.since = self.reconciled = self.clock()

    def run(self) -> Outcome:
        while True:
            with joined(self.connection, self.name, self.cursor, self.clock) as lookout:
                self.lookout = lookout
                found = self._follow()
            if isinstance(found, Outcome):
                return found
            self.name, self.created, self.cursor = found.name, 0.0, Cursor()

    def _follow(self) -> Outcome | CustomJob:
        """Watches one job until it has ended, or until its elder is the one to watch."""
        while True:
            job = self._patiently(lambda: self.lookout.look(self.name, self.created))
            if job is not None:
                self.created = seconds(job.create_time)
                self.cursor.newest = max(self.cursor.newest, self.created)
                if elder := self._elder(job):
                    return elder
                if state_of(job) in TERMINAL:
                    return self._ended(job)
                self._see(state_of(job))
                self.lookout.logs.pump()
                self._tell()
            self.sleep(self._interval())

    def _patiently(self, action: Callable[[], T], patience: float | None = None) -> T:
        return patiently(action, self.connection, clock=self.clock, sleep=self.sleep, patience=patience)

    def _see(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self.since = self.clock()
            self.on_state(state)

    def _tell(self) -> bool:
        """Hands on the lines that came; True when there were some."""
        lines = self.lookout.logs.take(job_id(self.name))
        for line in lines:
            self.on_line(line)
        return bool(lines)

    def _interval(self) -> float:
        """Short after a change, up to four times as long when nothing happens; of many jobs until the next list."""
        poll = self.connection.poll
        longer = min(max(poll, (self.clock() - self.since) / 40), 4 * poll)
        return max(self.lookout.wait, poll) if self.lookout.shared else longer

    def _elder(self, job: CustomJob) -> CustomJob | None:
        """The job that counts instead of this one, if there is one; looked for now and then, and at the end.

        A job may be listed late, so one look after the create is not enough. Trouble with this look never ends a
        watch: the next one makes up for it, and the last one is patient.
        """
        key = job.labels.get(KEY_LABEL)
        ended = state_of(job) in TERMINAL
        if not key:
            return None
        twins = self.lookout.twins(key)
        if twins is None and not (ended or self.clock() >= self.reconciled + self.connection.settle):
            return None
        self.reconciled = self.clock()
        try:
            kept = self._patiently(
                lambda: keep_one(self.connection, listed(self.connection, key) if twins is None else twins),
                patience=None if ended else 0.0,
            )
        except TrainingError:
            return None
        if kept is None or kept.name == job.name or (ended and state_of(job) != "JOB_STATE_CANCELLED"):
            return None
        # A job of a later attempt is no elder of one that somebody cancelled on purpose.
        latest = seconds(job.create_time) + CREATES * self.connection.settle
        return kept if seconds(kept.create_time) <= latest else None

    def _drain(self, quiet: float) -> None:
        """Reads what the log has, and what still comes until nothing came for `quiet` seconds.

        Ends a minute after all was read in any case: a process that outlives its job may talk for ever.
        """
        logs, asked = self.lookout.logs, self.clock()
        end, limit = asked + quiet, asked + LONGEST_DRAIN
        while True:
            logs.pump(now=not self.lookout.shared)
            now = self.clock()
            whole = logs.covered(job_id(self.name)) >= asked
            if self._tell():
                end = now + quiet
            if whole:
                limit = min(limit, asked + DRAIN_LIMIT)
            if logs.refused or now >= limit or (whole and now >= end):
                return
            self.sleep(max(logs.due - now, self.connection.poll / 10))

    def _ended(self, job: CustomJob) -> Outcome:
        state = state_of(job)
        # A minute lies between the program's end and this state; only a failure's last words are worth more waiting.
        self._drain(0.0 if state == "JOB_STATE_SUCCEEDED" else self.connection.pace.log_drain)
        self._see(state)  # after its last lines, as a person reads it
        tail = list(self.cursor.tail)
        code, text = error_of(job)
        return Outcome(
            name=job.name,
            state=state,
            error="" if state == "JOB_STATE_SUCCEEDED" else text,
            diagnosis=diagnose(state, code, text, tail),
            tail=[line.message for line in tail][-SHOWN_TAIL:],
            seconds=max(0.0, seconds(job.end_time) - seconds(job.start_time))
            if job.start_time and job.end_time
            else 0.0,
        )
