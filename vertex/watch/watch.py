"""Follows a job to its end by its state in the service, since a job may fail before its container starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ...core.errors import TrainingError
from ..client.calls import error_of, is_live, listed, patiently, seconds, state_of
from ..client.connection import Connection
from ..client.console_links import log_command
from ..diagnosis import diagnose
from ..job_types import TERMINAL, Diagnosis, LogLine, Outcome, State
from ..labels import KEY_LABEL, REQUEST_LABEL, request_of
from ..submit.cancellation import cancel_quietly
from ..submit.submission import CREATES, keep_one
from .job_poller import JobPoller, JobPollers, job_id
from .log_reader import Cursor
from .running_cost import CostSoFar, RunningCost

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

    Leave = Callable[[CustomJob], Diagnosis | None]

T = TypeVar("T")

PROCESS_POLLERS = JobPollers()
"""The pollers that all watches of this process share, so that one list serves them all. Empty while none runs."""

SHOWN_TAIL = 50
"""Number of last lines in an outcome."""

DRAIN_LIMIT = 60.0
"""Seconds after a job's end in which new lines are still read, once the older ones have been."""

LONGEST_DRAIN = 900.0
"""Most seconds after a job's end for reading its lines, however many there are."""

SEVERAL = 0.4
"""Seconds up to which several watched jobs lengthen the interval: reads every few milliseconds take the processors from
the jobs of this machine themselves."""

COUNT_LIMIT = 60.0
"""Seconds for counting the lines that are left after that."""


def watch(
    connection: Connection,
    name: str,
    *,
    on_state: Callable[[State], None],
    on_lines: Callable[[Sequence[LogLine]], None],
    on_cost: Callable[[CostSoFar], None] = lambda _: None,
    created: float = 0.0,
    cursor: Cursor | None = None,
    leave: Leave | None = None,
    pollers: JobPollers = PROCESS_POLLERS,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Follows a job to its end, and passes on its states and log lines.

    Watches with the same `pollers` share their reads, also across threads.

    Meanwhile it also ensures what `submit` guarantees: other live jobs of the same request are cancelled. If the
    watched job is the one that gets cancelled, the older job is watched instead, and the outcome has its name.

    A job whose labels have a cap on its run's cost is cancelled when it is reached; its outcome says so.

    Args:
        connection: The service that runs the job.
        name: The job's full name, as the service answered it.
        on_state: Called with the first state and with every change.
        on_lines: Called with the new lines of the log after each read that found some; once with every line.
        on_cost: Called after each read with what the run has cost so far, where the job's price is known.
        created: When the job was created, seconds since 1970; saves a read where many jobs are watched. 0: unknown.
        cursor: Position of an earlier watch in the same log; its lines are not passed on again. Default: the start.
        leave: Asked after each read of a live job; a diagnosis ends the watch, and the job goes on.
        pollers: The pollers that watches share. Default: those of this process.
        clock: Seconds since 1970.
        sleep: Waits for a number of seconds.

    Returns:
        How the job ended; a failed job is an outcome too, not an exception. Of a job that was left, its live state.

    Raises:
        VertexError: There is no such job, or it may not be read.
        VertexUnavailable, LocalServiceError: No answer for longer than the pace's `patience`.
    """
    cursor = cursor or Cursor()
    return _Watch(connection, name, on_state, on_lines, on_cost, clock, sleep, pollers, created, cursor, leave).run()


@dataclass
class _Watch:
    connection: Connection
    name: str
    on_state: Callable[[State], None]
    on_lines: Callable[[Sequence[LogLine]], None]
    on_cost: Callable[[CostSoFar], None]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    pollers: JobPollers
    created: float
    cursor: Cursor
    leave: Leave | None = None
    state: State | None = None
    poller: JobPoller = field(init=False)
    cost: RunningCost = field(init=False)

    def __post_init__(self) -> None:
        self.since = self.reconciled = self.clock()

    def run(self) -> Outcome:
        while True:
            with self.pollers.watching(self.connection, self.name, self.cursor, self.clock) as poller:
                self.poller, self.cost = poller, RunningCost(self.connection, self.clock)
                found = self._follow()
            if isinstance(found, Outcome):
                return found
            self.name, self.created, self.cursor = found.name, 0.0, Cursor()

    def _follow(self) -> Outcome | CustomJob:
        """Watches one job until it has ended, or until an older job with its key has to be watched instead."""
        while True:
            job = self._patiently(lambda: self.poller.read(self.name, self.created))
            if job is not None:
                self.created = seconds(job.create_time)
                self.cursor.newest = max(self.cursor.newest, self.created)
                if older := self._older_duplicate(job):
                    return older
                self._count_cost(job)
                if state_of(job) in TERMINAL:
                    return self._ended(job)
                self._report_state(state_of(job))
                if self.leave is not None and (why := self.leave(job)):
                    return Outcome(name=job.name, state=state_of(job), diagnosis=why)
                self.poller.logs.read_if_due()
                self._pass_on_lines()
            self.sleep(self._interval())

    def _count_cost(self, job: CustomJob) -> None:
        """Reports what the run has cost, and cancels the job at the cap; it is then followed to its end as ever."""
        self.cost.read(job)
        if so_far := self.cost.so_far():
            self.on_cost(so_far)
        if self.cost.seconds_left() <= 0 and is_live(job) and not self.cost.stopped:
            self._patiently(lambda: cancel_quietly(self.connection, self.name))
            self.cost.stopped = True

    def _patiently(self, action: Callable[[], T], patience: float | None = None) -> T:
        return patiently(action, self.connection, clock=self.clock, sleep=self.sleep, patience=patience)

    def _report_state(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self.since = self.clock()
            self.on_state(state)

    def _pass_on_lines(self) -> bool:
        """Passes on new lines; returns True if there were any."""
        lines = self.poller.logs.take(job_id(self.name))
        if lines:
            self.cost.lines(lines)
            self.on_lines(lines)
        return bool(lines)

    def _interval(self) -> float:
        """Seconds until the next read: longer the longer nothing has changed; with lists, until the next one."""
        poll = self.connection.poll
        longer = min(max(poll, (self.clock() - self.since) / 40), 4 * poll)
        longer = min(self.poller.count * longer, max(longer, SEVERAL))
        wait = max(self.poller.wait, poll) if self.poller.shared else longer
        return poll if self.cost.stopped else min(wait, max(self.cost.seconds_left(), poll / 10))

    def _older_duplicate(self, job: CustomJob) -> CustomJob | None:
        """The older job of the same request that counts instead of this one, if there is one.

        Of all attempts at a request at most one may live, also when a person retried a run whose process went on.

        Lists may show a job late, so checking once after the create is not enough: it is checked now and then, and at
        the job's end. An error in this check never ends a watch, since it is repeated; the last one is retried.
        """
        key, label = request_of(job.labels), REQUEST_LABEL if REQUEST_LABEL in job.labels else KEY_LABEL
        ended = state_of(job) in TERMINAL
        if not key:
            return None
        known = self.poller.of_request(key)
        if known is None and not (ended or self.clock() >= self.reconciled + self.connection.settle):
            return None
        self.reconciled = self.clock()
        try:
            kept = self._patiently(
                lambda: keep_one(
                    self.connection, listed(self.connection, key, label=label) if known is None else known
                ),
                patience=None if ended else 0.0,
            )
        except TrainingError:
            return None
        if kept is None or kept.name == job.name or (ended and state_of(job) != "JOB_STATE_CANCELLED"):
            return None
        # The job of a later attempt does not replace one that somebody cancelled on purpose.
        latest = seconds(job.create_time) + CREATES * self.connection.settle
        return kept if seconds(kept.create_time) <= latest else None

    def _drain(self, quiet: float) -> None:
        """Reads the rest of the log until no line has arrived for `quiet` seconds.

        Ends a minute after the existing lines were read in any case, since a process that outlives its job may go on
        writing. If lines are left then, a last line says how many.
        """
        logs, asked = self.poller.logs, self.clock()
        end, limit = asked + quiet, asked + LONGEST_DRAIN
        while True:
            logs.read_if_due(now=not self.poller.shared)
            now = self.clock()
            whole = logs.read_until(job_id(self.name)) >= asked
            if self._pass_on_lines():
                end = now + quiet
            if whole:
                limit = min(limit, asked + DRAIN_LIMIT)
            if logs.refused or (whole and now >= end):
                return
            if now >= limit:
                self.on_lines([self._line_about_the_rest(now - asked, asked)])
                return
            self.sleep(max(logs.due - now, self.connection.poll / 10))

    def _line_about_the_rest(self, spent: float, asked: float) -> LogLine:
        """Counts the lines that are left, for at most a minute, and says where they are."""
        logs, own, end, left = self.poller.logs, job_id(self.name), self.clock() + COUNT_LIMIT, 0
        while not logs.refused and logs.read_until(own) < asked and self.clock() < end:
            logs.read_if_due(now=not self.poller.shared)
            left += len(logs.take(own))
            self.sleep(max(logs.due - self.clock(), self.connection.poll / 10))
        left += len(logs.take(own))
        count = f"{left:,}" if logs.read_until(own) >= asked else f"at least {left:,}"
        what = f"{count} more lines are not shown, {spent:.0f} s after the job's end" if left else "further lines come"
        where = log_command(self.connection, self.name)
        return LogLine(self.clock(), "WARNING", f"warning: {what}; they are in the job's log: {where}", "service")

    def _ended(self, job: CustomJob) -> Outcome:
        state = state_of(job)
        # This state follows the program's end by a minute, so only the last lines of a failure are worth more waiting.
        self._drain(0.0 if state == "JOB_STATE_SUCCEEDED" else self.connection.pace.log_drain)
        self._report_state(state)  # after the last lines, the order in which people read it
        tail = list(self.cursor.tail)
        code, text = error_of(job)
        return Outcome(
            name=job.name,
            state=state,
            error="" if state == "JOB_STATE_SUCCEEDED" else text,
            diagnosis=self.cost.diagnosis(diagnose(state, code, text, tail)),
            tail=[line.message for line in tail][-SHOWN_TAIL:],
            seconds=max(0.0, seconds(job.end_time) - seconds(job.start_time))
            if job.start_time and job.end_time
            else 0.0,
        )
