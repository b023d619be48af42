"""Carries out the moves of the rules: looks at all regions, decides, acts, and looks again.

It talks to the regions through a protocol, so that a campaign with a virtual clock drives the same code as a run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ...core.errors import TrainingError, VertexError, VertexUnavailable
from ...core.retry import backoff
from . import list_rules as rules
from .create_record import CreateRecord
from .moves import AwaitEnd, CancelJobs, CreateJob, Exhausted, Follow, GiveUp, Hold, Move, Pause
from .request_view import Create, Limits, Position, Refusal, TryJob, View

CREATES = 3
"""How often one call of `place` sends a create of one position whose answers are lost."""


IGNORED_REGIONS = "vertex_training_ignore_regions"
"""The variable of Prefect that names regions to leave out: the parameters of a run that exists can't be changed."""


class NoAnswer(Exception):
    """A call got no answer, and may have been carried out all the same; `error` says why."""

    def __init__(self, error: TrainingError) -> None:
        self.error = error
        super().__init__(str(error))


class NoCapacity(Exception):
    """A create was refused because of a quota or a stock-out: no job was made."""

    def __init__(self, refusal: Refusal, error: TrainingError | None = None) -> None:
        self.refusal = refusal
        self.error = error
        super().__init__(refusal.why)


class Regions(Protocol):
    """The regions of a list, as the driver uses them. Other errors than these two pass, and end the run."""

    def jobs(self, regions: Sequence[str]) -> Mapping[str, Sequence[TryJob] | NoAnswer]:
        """The listed jobs of the request, by region."""
        ...

    def read(self, job: TryJob) -> TryJob:
        """A job's present state.

        Raises:
            NoAnswer: It can't be had.
        """
        ...

    def key(self, position: Position) -> str:
        """The key of a position: the same in every process."""
        ...

    def prepare(self, position: Position) -> None:
        """Brings what a job needs to its region, which may take long; what is there stays."""
        ...

    def create(self, position: Position) -> TryJob:
        """Creates a job; called once for each call that is sent.

        Raises:
            NoAnswer: The job may exist.
            NoCapacity: It doesn't.
        """
        ...

    def cancel(self, job: TryJob) -> None:
        """Asks a job to end; one that has ended is left alone.

        Raises:
            NoAnswer: It may not have been asked.
        """
        ...


@dataclass
class Memory:
    """What one process remembers between calls: the service keeps no trace of a create that it refused.

    Attributes:
        refusals: By position.
        known: Jobs by name, which lists may show late.
    """

    refusals: dict[Position, Refusal] = field(default_factory=dict)
    known: dict[str, TryJob] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits, in seconds.

    Attributes:
        poll: Between looks, at first.
        patience: For how long regions may be silent, or cancelled jobs may go on, until the call ends with an error.
        longest: Most seconds between looks.
    """

    poll: float
    patience: float
    longest: float = 20.0


class Rules(Protocol):
    """The two questions to the rules; the module `rules` answers them."""

    def decide(self, limits: Limits, view: View) -> Move:
        """The next move."""
        ...

    def wait_is_over(self, limits: Limits, job: TryJob, now: float) -> bool:
        """Whether a job has waited too long for machines."""
        ...


class Driver:
    """Places one request in the regions of its list.

    Args:
        regions: The regions.
        record: The create calls that were sent.
        limits: The list, and the budgets.
        pace: How long to wait.
        retry: How often a person has retried the run.
        ignored: Regions that are left out.
        memory: What this process knows from earlier calls.
        notice: Called with a line for each thing that a person may want to know.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.
        judge: The rules; a campaign puts others in their place, to see whether it finds them out.
    """

    def __init__(
        self,
        regions: Regions,
        record: CreateRecord,
        limits: Limits,
        pace: Pace,
        *,
        retry: int = 0,
        ignored: Collection[str] = (),
        memory: Memory | None = None,
        notice: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        judge: Rules = rules,
    ) -> None:
        self._regions = regions
        self._record = record
        self._limits = limits
        self._pace = pace
        self._retry = retry
        self._ignored = frozenset(ignored)
        self._memory = memory if memory is not None else Memory()
        self._notice = notice
        self._clock = clock
        self._sleep = sleep
        self._judge = judge
        self._sent: Counter[Position] = Counter()
        self._end: float | None = None
        self._waits = self._new_waits()

    def place(self) -> Follow:
        """The job that counts, created if there is none; it may have ended.

        Raises:
            VertexUnavailable: A region is silent, or a cancelled job goes on, for too long; calling again is safe.
            VertexError: No place of the list had machines.
        """
        while True:
            view = self.view()
            move = self._judge.decide(self._limits, view)
            if isinstance(move, Follow):
                return move
            if isinstance(move, Exhausted):
                raise self._exhausted(view)
            if self._carry_out(move):
                self._end, self._waits = None, self._new_waits()

    def follows(self, name: str) -> bool:
        """Whether the job of that name is still the one that counts; True where that can't be known now."""
        move = self._judge.decide(self._limits, self.view())
        return not isinstance(move, CancelJobs | GiveUp) and (not isinstance(move, Follow) or move.job.name == name)

    def view(self) -> View:
        """All that is known now."""
        began = self._clock()
        wanted = [region for region in rules.regions_of(self._limits) if region not in self._ignored]
        listed = self._regions.jobs(wanted)
        found = {job.name: job for jobs in listed.values() if not isinstance(jobs, NoAnswer) for job in jobs}
        unanswered = {region for region, jobs in listed.items() if isinstance(jobs, NoAnswer)}
        for name, job in self._memory.known.items():
            if name not in found and job.region in wanted:
                try:
                    found[name] = self._regions.read(job)
                except NoAnswer:
                    unanswered.add(job.region)
        self._memory.known.update({name: job for name, job in found.items() if job.position.retry == self._retry})
        return View(
            now=began,
            retry=self._retry,
            jobs=tuple(found.values()),
            unanswered=unanswered,
            ignored=self._ignored,
            creates=tuple(self._record.creates()),
            refusals=dict(self._memory.refusals),
        )

    def _carry_out(self, move: Move) -> bool:
        """Returns whether something has changed, so that patience begins anew."""
        match move:
            case CreateJob(position):
                return self._create(position)
            case CancelJobs(jobs):
                return self._cancel(jobs)
            case GiveUp(job):
                return self._give_up(job)
            case Pause(until, why):
                self._pause(until, why)
                return True
            case Hold(regions):
                self._wait(lambda: _silent(regions))
            case AwaitEnd(jobs):
                self._wait(lambda: _still_ending(jobs))
            case _:
                raise AssertionError(move)
        return False

    def _create(self, position: Position) -> bool:
        self._regions.prepare(position)
        sent = Create(self._regions.key(position), self._limits.spots[position.entry].region, self._clock())
        self._record.add(sent)
        self._sent[position] += 1
        try:
            job = self._regions.create(position)
        except NoAnswer as lost:
            if self._sent[position] >= CREATES:
                raise lost.error from lost
            self._notice(f"no answer to a create in {sent.region}: looking whether there is a job")
            return True
        except NoCapacity as refused:
            self._record.remove(sent)
            self._memory.refusals[position] = refused.refusal
            self._notice(f"{sent.region}: {refused.refusal.why}")
            return True
        except TrainingError:
            self._record.remove(sent)
            raise
        self._memory.known[job.name] = job
        return True

    def _cancel(self, jobs: Sequence[TryJob]) -> bool:
        for job in jobs:
            self._notice(f"{job.name} is one job too many, and is cancelled")
            self._asked(job)
        self._sleep(next(self._waits))
        return False

    def _give_up(self, job: TryJob) -> bool:
        try:
            now = self._regions.read(job)
        except NoAnswer:
            self._wait(lambda: _silent([job.region]))
            return False
        if self._judge.wait_is_over(self._limits, now, self._clock()):
            waited = self._clock() - now.created
            self._notice(f"{job.name} has waited {waited:.0f} s for machines, and is cancelled")
            self._asked(now)
        self._sleep(next(self._waits))
        return False

    def _asked(self, job: TryJob) -> None:
        try:
            self._regions.cancel(job)
        except NoAnswer:
            self._wait(lambda: _silent([job.region]))

    def _pause(self, until: float, why: str) -> None:
        left = until - self._clock()
        if left > self._pace.longest:
            self._notice(f"waiting {left:.0f} s: {why}")
        # In steps, so that a job that appears meanwhile is seen.
        self._sleep(max(min(left, self._pace.longest), 0.001))

    def _wait(self, error: Callable[[], VertexUnavailable]) -> None:
        self._end = self._clock() + self._pace.patience if self._end is None else self._end
        if self._clock() >= self._end:
            self._end = None
            raise error()
        self._sleep(next(self._waits))

    def _new_waits(self) -> Iterator[float]:
        return backoff(base=max(self._pace.poll, 0.01), limit=self._pace.longest)

    def _exhausted(self, view: View) -> VertexError:
        reasons = {job.position: f"{job.region}: {job.why}" for job in view.jobs if job.position.retry == view.retry}
        for position, refusal in view.refusals.items():
            reasons[position] = f"{self._limits.spots[position.entry].region}: {refusal.why}"
        texts = [reasons[position] for position in sorted(reasons)]
        rounds = f"{self._limits.rounds} round{'s' if self._limits.rounds > 1 else ''}"
        return VertexError(
            f"no place of the fall-back list had machines in {rounds}: {'; '.join(dict.fromkeys(texts))}",
            where=f"{len(self._limits.spots)} places",
            next_step="Retry the run later, add another region or machine to the list, or raise its waits",
            kind="stock_out",
        )


def _silent(regions: Sequence[str]) -> VertexUnavailable:
    names = ", ".join(regions)
    options = " ".join(f"--ignore-region {region}" for region in regions)
    return VertexUnavailable(
        f"Vertex AI in {names} gives no answer and may have this run's job, so nothing new is created",
        where=names,
        next_step=f"Retry when it answers; if you are sure that no job runs there, first set Prefect's variable "
        f"{IGNORED_REGIONS} to {names}, or start a new run with {options}",
    )


def _still_ending(jobs: Sequence[TryJob]) -> VertexUnavailable:
    return VertexUnavailable(
        "the job was asked to end and has not ended, so the next place of the list has to wait",
        where=", ".join(job.name for job in jobs),
        next_step="Retry, or look at it in the console: it costs until it ends",
    )
