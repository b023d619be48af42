"""Following a job to its end by the service's word alone: a job can die before its container starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.errors import TrainingError
from .calls import KEY_LABEL, get, patiently, seconds, state_of
from .connection import Connection
from .failures import diagnose
from .logs import LogReader
from .model import TERMINAL, LogLine, Outcome, State
from .submission import CREATES, reconcile

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

SHOWN_TAIL = 50
"""How many of the last lines an outcome carries."""


def watch(
    connection: Connection,
    name: str,
    *,
    on_state: Callable[[State], None],
    on_line: Callable[[LogLine], None],
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Follows a job until it has ended, and hands on its states and lines.

    While it watches it also keeps the promise of `submit`: other live jobs with the same key are cancelled. When the
    watched job is the one that goes, its elder is watched instead, and the outcome carries that one's name.

    Args:
        connection: Where to.
        name: As the service answered it.
        on_state: Called with the first state and with every change.
        on_line: Called with every line of the log, once each.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.

    Returns:
        How it ended; a failed job is an outcome too, not an exception.

    Raises:
        VertexError: There is no such job, or it may not be read.
        VertexUnavailable, LocalServiceError: No answer for longer than the connection's patience.
    """
    return _Watch(connection, name, on_state, on_line, clock, sleep).run()


@dataclass
class _Watch:
    connection: Connection
    name: str
    on_state: Callable[[State], None]
    on_line: Callable[[LogLine], None]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    state: State | None = None
    log: LogReader | None = None

    def __post_init__(self) -> None:
        self.since = self.reconciled = self.clock()

    def run(self) -> Outcome:
        while True:
            job = patiently(
                lambda: get(self.connection, self.name), self.connection, clock=self.clock, sleep=self.sleep
            )
            log = self._log(job)
            if elder := self._elder(job):
                self._follow(elder)
                continue
            if state_of(job) in TERMINAL:
                return self._ended(job, log)
            self._see(state_of(job))
            log.pump()
            self.sleep(self._interval())

    def _log(self, job: CustomJob) -> LogReader:
        if self.log is None:
            self.log = LogReader(self.connection, self.name, seconds(job.create_time), self.on_line, self.clock)
        return self.log

    def _see(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self.since = self.clock()
            self.on_state(state)

    def _interval(self) -> float:
        """Short after a change, up to four times as long when nothing happens: reads are limited to 600 a minute."""
        poll = self.connection.poll
        return min(max(poll, (self.clock() - self.since) / 40), 4 * poll)

    def _elder(self, job: CustomJob) -> CustomJob | None:
        """The job that counts instead of this one, if there is one; looked for now and then, and at the end.

        A job may be listed late, so one look after the create is not enough. Trouble with this look never ends a
        watch: the next one makes up for it, and the last one is patient.
        """
        key = job.labels.get(KEY_LABEL)
        ended = state_of(job) in TERMINAL
        if not key or not (ended or self.clock() >= self.reconciled + self.connection.settle):
            return None
        self.reconciled = self.clock()
        patience = None if ended else 0.0
        try:
            kept = patiently(
                lambda: reconcile(self.connection, key),
                self.connection,
                clock=self.clock,
                sleep=self.sleep,
                patience=patience,
            )
        except TrainingError:
            return None
        if kept is None or kept.name == job.name or (ended and state_of(job) != "JOB_STATE_CANCELLED"):
            return None
        # A job of a later attempt is no elder of one that somebody cancelled on purpose.
        latest = seconds(job.create_time) + CREATES * self.connection.settle
        return kept if seconds(kept.create_time) <= latest else None

    def _follow(self, elder: CustomJob) -> None:
        self.name = elder.name
        self.log = None

    def _ended(self, job: CustomJob, log: LogReader) -> Outcome:
        state = state_of(job)
        # A minute lies between the program's end and this state; only a failure's last words are worth more waiting.
        log.drain(0.0 if state == "JOB_STATE_SUCCEEDED" else self.connection.pace.log_drain, self.sleep)
        self._see(state)  # after its last lines, as a person reads it
        text = "" if job.error is None else str(job.error.message)
        code = 0 if job.error is None else int(job.error.code)
        found = diagnose(state, code, text, list(log.tail))
        return Outcome(
            name=job.name,
            state=state,
            error="" if state == "JOB_STATE_SUCCEEDED" else text,
            diagnosis=found.text,
            retryable=found.retryable,
            tail=[line.message for line in log.tail][-SHOWN_TAIL:],
            seconds=max(0.0, seconds(job.end_time) - seconds(job.start_time))
            if job.start_time and job.end_time
            else 0.0,
        )
