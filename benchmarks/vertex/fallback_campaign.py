"""Random histories of a fall-back list over three regions, with a virtual clock: the rules, their driver, no network.

    python benchmarks/vertex/fallback_campaign.py [--histories 5000] [--seed 1] [--mutants]

Each history has a list of two to four places, and a service that loses answers of creates (the job may appear later,
even after the next region was tried), lists jobs late, refuses for quota, has no machines, preempts, starts jobs again,
and is silent for a while; the process is killed at any call, and a person retries. At every call and every step of
the clock the rules that `docs/fall-back.md` promises are checked. `--mutants` changes one rule at a time, and looks
after how many histories the campaign finds that out.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
import types
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from prefect_vertex_training.core.errors import JobFailed, TrainingError, VertexError, VertexUnavailable
from prefect_vertex_training.core.retry import backoff
from prefect_vertex_training.vertex.fallback import list_rules as rules
from prefect_vertex_training.vertex.fallback.driver import Driver, Memory, NoAnswer, NoCapacity, Pace, Rules
from prefect_vertex_training.vertex.fallback.request_view import (
    Create,
    Ending,
    Limits,
    Phase,
    Position,
    Refusal,
    Spot,
    TryJob,
)
from prefect_vertex_training.vertex.fallback.run_list import run_list
from prefect_vertex_training.vertex.job_types import State, SubmittedJob

REGIONS = ("us-central1", "europe-west4", "asia-southeast1")
SETTLE = 45.0
PACE = Pace(poll=5, patience=600)
CAPACITY = frozenset({"stock_out", "quota", "expired"})
FOREVER = float("inf")
START = 1_700_000_000.0
LONGEST = 5 * 24 * 3600.0
STATES: Mapping[Ending, State] = {
    "succeeded": "JOB_STATE_SUCCEEDED",
    "cancelled": "JOB_STATE_CANCELLED",
    "expired": "JOB_STATE_EXPIRED",
}
KINDS = {"platform": "preempted", "final": "user_code", "expired": "time_limit"}


class BrokenRule(Exception):
    """Something happened that the documentation rules out."""


class Killed(BaseException):
    """The process ends here without cleaning up."""


@dataclass
class SimulatedJob:
    """A job's whole life, decided when it is created; a cancellation may cut it off."""

    name: str
    region: str
    key: str
    position: Position
    asked: float
    made: float
    listed: float
    starts: float
    pauses: tuple[float, float]
    ends: float
    ending: Ending
    cancels: float = FOREVER
    cancelled: float = FOREVER

    def over(self, now: float) -> bool:
        """Whether it has ended."""
        return now >= min(self.ends, self.cancelled)

    def phase(self, now: float) -> Phase:
        """How far it is."""
        if self.over(now):
            return "ended"
        if now >= self.cancels:
            return "ending"
        return "running" if self.starts <= now and not self.pauses[0] <= now < self.pauses[1] else "waiting"

    def live(self, now: float) -> bool:
        """Whether it costs, or waits for machines."""
        return self.made <= now and self.phase(now) in {"waiting", "running"}

    @property
    def late(self) -> bool:
        """Whether it appeared later than the settle window allows: the documented exception."""
        return self.listed > self.asked + SETTLE

    def seen(self, now: float) -> TryJob:
        """As the service describes it."""
        over = self.over(now)
        ending = ("cancelled" if self.cancelled <= self.ends else self.ending) if over else None
        ended = min(self.ends, self.cancelled) if over else 0.0
        started = self.starts <= min(now, self.ends, self.cancelled)
        why = ending or ""
        phase = self.phase(now)
        return TryJob(self.name, self.region, self.key, self.position, phase, self.made, started, ended, ending, why)


@dataclass
class Service:
    """Three regions, and every rule that is checked where something happens."""

    random: random.Random
    limits: Limits
    now: float = START
    jobs: list[SimulatedJob] = field(default_factory=list)
    silences: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    record: list[Create] = field(default_factory=list)
    refused: list[tuple[Position, float]] = field(default_factory=list)
    refused_now: set[Position] = field(default_factory=set)
    retry: int = 0
    ignored: frozenset[str] = frozenset()
    alive: bool = False
    kill_after: int = -1
    overlap: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # The clock

    def clock(self) -> float:
        """Now."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Moves the clock in steps of at most ten seconds, and checks what is true all the time."""
        self.step()
        left = seconds
        while left > 0:
            part = min(left, 10.0)
            self.now += part
            left -= part
            self.check_overlap(part)
        if self.now > START + LONGEST:
            raise BrokenRule("no end")

    def step(self) -> None:
        """A moment at which the process may be killed."""
        self.kill_after -= self.kill_after >= 0
        if self.kill_after == 0:
            self.kill_after = -1
            self.counts["kills"] += 1
            raise Killed

    def check_overlap(self, seconds: float) -> None:
        """Two live jobs are there only because one appeared too late, and not for long."""
        live = [job for job in self.jobs if job.live(self.now)]
        if len(live) < 2:
            self.overlap = 0.0
            return
        if not any(job.late for job in live):
            raise BrokenRule(f"two live jobs: {[job.name for job in live]}")
        listed = sum(job.listed <= self.now for job in live) > 1
        if self.alive and listed and not any(self.silent(region) for region in REGIONS):
            self.overlap += seconds
        if self.overlap > 3 * SETTLE:
            raise BrokenRule(f"two live jobs for {self.overlap:.0f} s")

    # The protocol of the driver

    def silent(self, region: str) -> bool:
        """Whether the region gives no answers now."""
        return any(begin <= self.now < end for begin, end in self.silences.get(region, ()))

    def answer(self, region: str) -> None:
        """Raises if there is none."""
        self.step()
        if self.silent(region):
            raise NoAnswer(VertexUnavailable("no answer", where=region))

    def listed_jobs(self, regions: Sequence[str]) -> dict[str, Sequence[TryJob] | NoAnswer]:
        """See `Regions.jobs`."""
        found: dict[str, Sequence[TryJob] | NoAnswer] = {}
        for region in regions:
            try:
                self.answer(region)
            except NoAnswer as error:
                found[region] = error
            else:
                here = [job for job in self.jobs if job.region == region and job.listed <= self.now]
                found[region] = [job.seen(self.now) for job in here]
        return found

    def read(self, job: TryJob) -> TryJob:
        """See `Regions.read`."""
        self.answer(job.region)
        return self.job(job.name).seen(self.now)

    def job(self, name: str) -> SimulatedJob:
        """The job of that name."""
        return next(job for job in self.jobs if job.name == name)

    def key(self, position: Position) -> str:
        """See `Regions.key`."""
        return str(position)

    def create(self, position: Position) -> TryJob:
        """See `Regions.create`."""
        self.step()
        self.check_create(position)
        self.counts["creates"] += 1
        region = self.limits.spots[position.entry].region
        fate = self.random.random()
        if self.silent(region) or fate < 0.16:
            if not self.silent(region) and self.random.random() < 0.6:
                self.make(position, region, late=self.lateness())
            self.counts["lost answers"] += 1
            raise NoAnswer(VertexUnavailable("no answer", where=region))
        if fate < 0.36:
            self.refused.append((position, self.now))
            self.refused_now.add(position)
            self.counts["quota"] += 1
            raise NoCapacity(Refusal(self.now, "a quota is used up"))
        job = self.make(position, region, late=0.0)
        self.step()  # killed after the create, before its answer
        return job.seen(self.now)

    def lateness(self) -> float:
        """Seconds from a lost create to its job: within the settle window, or even after the next region was tried."""
        return self.random.choice([0.0, self.random.uniform(0, 20), self.random.uniform(0.5, 2.4) * SETTLE])

    def make(self, position: Position, region: str, *, late: float) -> SimulatedJob:
        """Adds a job with a random life."""
        chance, made = self.random, self.now + late
        waited = chance.choice([chance.uniform(0, 60), chance.uniform(0, 300), chance.uniform(0, 3000), FOREVER])
        ran = chance.choice([chance.uniform(1, 20), chance.uniform(1, 60), chance.uniform(60, 4000)])
        ending = chance.choices(["succeeded", "platform", "final", "stock_out", "expired"], [6, 3, 1, 3, 1])[0]
        without = ending in {"stock_out", "expired"}
        starts = FOREVER if without else made + waited
        ends = made + chance.uniform(1, 900) if without else starts + ran
        pauses = (FOREVER, FOREVER)
        if chance.random() < 0.3 and starts < FOREVER:  # the service starts it again, after waiting for machines
            begin = starts + chance.uniform(0, ran)
            pauses = (begin, begin + chance.uniform(0, 3000))
            ends = max(ends, pauses[1] + 1)
        job = SimulatedJob(
            f"{region}/{next(self.numbers)}",
            region,
            self.key(position),
            position,
            self.now,
            made,
            made + chance.uniform(0, 20),
            starts,
            pauses,
            ends,
            ending,
        )
        self.jobs.append(job)
        self.counts["late jobs"] += job.late
        return job

    def cancel(self, job: TryJob) -> None:
        """See `Regions.cancel`."""
        self.answer(job.region)
        found = self.job(job.name)
        self.check_cancel(found)
        if not found.over(self.now) and found.cancels == FOREVER:
            found.cancels = self.now
            found.cancelled = self.now + self.random.choice([0.0, self.random.uniform(0, 120)])
            self.counts["cancelled"] += 1
        if self.random.random() < 0.1:
            raise NoAnswer(VertexUnavailable("no answer", where=job.region))

    # The rules

    def check_create(self, position: Position) -> None:
        """What must be true at the moment of a create."""
        spot = self.limits.spots[position.entry]
        if any(self.silent(region) for region in {spot.region for spot in self.limits.spots} - self.ignored):
            raise BrokenRule("created while a region was silent")
        if spot.region in self.ignored:
            raise BrokenRule("created in an ignored region")
        if position in self.refused_now:
            raise BrokenRule(f"created again where it was refused: {position}")
        if position.round > self.limits.rounds or position.attempt > self.limits.allowed:
            raise BrokenRule(f"over the budget: {position}")
        there = [job for job in self.jobs if job.made <= self.now and not job.late and job.region not in self.ignored]
        if going := [job for job in there if not job.over(self.now)]:
            raise BrokenRule(f"created beside {going[0].name}, which is {going[0].phase(self.now)}")
        if any(job.seen(self.now).ending == "succeeded" for job in there):
            raise BrokenRule("created after a success")
        known = [job for job in self.jobs if job.listed <= self.now or job.made == job.asked]
        seen = [job for job in known if job.region not in self.ignored]
        self.check_order(position, [job for job in seen if job.position.retry == self.retry])

    def check_followed(self, job: TryJob) -> None:
        """A job that succeeded counts before one that lives."""
        seen = [other.seen(self.now) for other in self.jobs if other.listed <= self.now]
        good = any(other.ending == "succeeded" and other.region not in self.ignored for other in seen)
        if job.live and good:
            raise BrokenRule("a live job was followed after a success")

    def check_order(self, position: Position, mine: Sequence[SimulatedJob]) -> None:
        """The list goes on only for want of machines, and stays at its place for another attempt."""
        ended = [job.seen(self.now) for job in mine]
        if any(job.ending == "final" for job in ended):
            raise BrokenRule("created after a failure that the user must fix")
        if not ended:
            return
        last = max(ended, key=lambda job: (job.position, job.ending != "cancelled", job.ended))
        place, before = (position.round, position.entry), (last.position.round, last.position.entry)
        there = [job for job in ended if job.position == last.position]
        same = [job for job in there if job.ending != "cancelled"] or there
        moves, moved = self.moves(last), any(map(self.moves, same))
        if place > before and not moved and not self.was_refused(last.position, position):
            raise BrokenRule(f"moved on from {last.position} after {last.ending}")
        if place <= before and moves and len(same) == 1:
            raise BrokenRule(f"stayed at {last.position} after {last.ending}")
        if place == before and last.ending == "platform" and position.attempt != last.position.attempt + 1:
            raise BrokenRule("another attempt without its number")
        usable = [entry for entry, spot in enumerate(self.limits.spots) if spot.region not in self.ignored]
        begins = position.round > last.position.round and position.entry == usable[0]
        if begins and moves and len(same) == 1:
            since = max([last.ended, *(at for refused, at in self.refused if refused.round < position.round)])
            if self.now < since + self.limits.pause * 2 ** (position.round - 2) - 1:
                raise BrokenRule("a new round without a pause")

    def moves(self, job: TryJob) -> bool:
        """Whether a job ended for want of machines, or because its wait was over."""
        waited = job.ended - job.created >= self.limits.spots[job.position.entry].wait
        return job.ending in CAPACITY or (job.ending == "cancelled" and waited)

    def was_refused(self, last: Position, position: Position) -> bool:
        """Whether creates between the two were refused, as that of the next attempt at the last place."""
        return any(last < refused <= position or refused == last for refused, _ in self.refused)

    def check_cancel(self, job: SimulatedJob) -> None:
        """A job is cancelled because it is one too many, or because its wait is over."""
        others = [other for other in self.jobs if other is not job and other.listed <= self.now]
        mine = [other.seen(self.now) for other in self.jobs if other.position.retry == self.retry]
        if job.over(self.now) or any(other.ending == "final" for other in mine):
            return
        attempts = {other.position.attempt for other in mine if other.ending == "platform"}
        if len(attempts) >= 1 and max(attempts) >= self.limits.allowed - 5:
            return
        if any(other.seen(self.now).ending == "succeeded" for other in others):
            return
        if older := [other for other in others if other.live(self.now)]:
            if all(other.made > job.made for other in older):
                raise BrokenRule("the oldest live job was cancelled")
            return
        waited = self.now - job.made
        if job.starts <= self.now:
            raise BrokenRule(f"cancelled {job.name}, which had started")
        if waited < self.limits.spots[job.position.entry].wait:
            raise BrokenRule(f"cancelled {job.name} after {waited:.0f} s")
        if any(self.silent(spot.region) for spot in self.limits.spots if spot.region not in self.ignored):
            raise BrokenRule("gave a job up while another region was silent")


class ServiceRecord:
    """The create calls, which outlive the process; a kill may come before or after each write."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def creates(self) -> Sequence[Create]:
        """See `CreateRecord`."""
        return self.service.record

    def add(self, create: Create) -> None:
        """See `CreateRecord`."""
        self.service.step()
        self.service.record.append(create)
        self.service.step()

    def remove(self, create: Create) -> None:
        """See `CreateRecord`."""
        self.service.step()
        self.service.record.remove(create)


class SimulatedRegions:
    """The service, by the names of the driver's protocol."""

    def __init__(self, service: Service) -> None:
        self.jobs = service.listed_jobs
        self.read = service.read
        self.key = service.key
        self.prepare = lambda _: None
        self.create = service.create
        self.cancel = service.cancel


def one_process(service: Service, judge: Rules) -> SubmittedJob:
    """A process of the run, from its start to its end: the same code as a run's, with another watch."""
    memory, regions = Memory(), SimulatedRegions(service)
    service.refused_now.clear()

    def driver() -> Driver:
        return Driver(
            regions,
            ServiceRecord(service),
            service.limits,
            PACE,
            retry=service.retry,
            ignored=service.ignored,
            memory=memory,
            clock=service.clock,
            sleep=service.sleep,
            judge=judge,
        )

    def place() -> SubmittedJob:
        found = driver().place()
        service.check_followed(found.job)
        state = STATES.get(found.job.ending, "JOB_STATE_FAILED") if found.job.ending else "JOB_STATE_RUNNING"
        return SubmittedJob(found.job.name, state, attempt=found.attempt, allowed=found.allowed)

    def watch(job: SubmittedJob) -> None:
        looked = service.now
        while True:
            try:
                seen = service.read(service.job(job.name).seen(service.now))
            except NoAnswer:
                service.sleep(20.0)
                continue
            if seen.phase == "ended":
                if seen.ending == "succeeded":
                    return
                raise ended_badly(seen)
            due = judge.wait_is_over(service.limits, seen, service.now) or service.now >= looked + SETTLE
            if due:
                looked = service.now
                if not driver().follows(job.name):
                    raise JobFailed("the job doesn't count any more", kind="superseded", retryable=True)
            service.sleep(service.random.uniform(5, 20))

    waits = backoff(base=SETTLE, limit=900.0)
    ended, _ = run_list(
        place, watch, confirm=place, warn=lambda _: None, waits=waits, poll=PACE.poll, sleep=service.sleep
    )
    return ended


def ended_badly(seen: TryJob) -> JobFailed:
    """The error of a watch."""
    kind = KINDS.get(str(seen.ending), str(seen.ending))
    return JobFailed(f"the job ended: {seen.ending}", kind=kind, retryable=seen.ending in {"platform", "stock_out"})


def new_service(seed: int) -> Service:
    """A random list, and a random service."""
    chance = random.Random(seed)
    length = chance.randint(2, 4)
    wanted = list(REGIONS[: chance.randint(1, 3)])
    spots = [Spot(chance.choice(wanted), chance.choice([60.0, 300.0, 900.0])) for _ in range(length)]
    limits = Limits(spots, allowed=chance.randint(1, 3), rounds=chance.randint(1, 2), settle=SETTLE)
    service = Service(chance, limits)
    for region in REGIONS:
        if chance.random() < 0.3:
            begin = service.now + chance.choice([0.0, chance.uniform(0, 3000)])
            service.silences[region] = [(begin, begin + chance.uniform(10, 3000))]
    return service


def history(seed: int, judge: Rules = rules) -> Service:
    """One history, from the first process to the end of everything.

    Raises:
        BrokenRule: With the rule's name.
    """
    service = new_service(seed)
    chance, result = service.random, None
    for _ in range(40):
        service.kill_after = chance.randint(1, 60) if chance.random() < 0.3 else -1
        service.alive, before, created = True, service.record[:], len(service.jobs) + len(service.refused)
        error: TrainingError | None = None
        try:
            result = one_process(service, judge)
        except Killed:
            service.alive = False
            service.sleep(chance.choice([0.0, chance.uniform(0, 600)]))
            continue
        except TrainingError as raised:
            error = raised
        service.alive, service.kill_after = False, -1
        if error is None:
            break
        check_line(error)
        check_exhausted(service, error)
        check_retry(service, error, created, len(before))
        if error.transient:  # Prefect's own retries, and then a person's
            service.sleep(600.0)
            if chance.random() < 0.3 and isinstance(error, VertexUnavailable):
                silent = {spot.region for spot in service.limits.spots if service.silent(spot.region)}
                if len(silent) < len({spot.region for spot in service.limits.spots}) and no_job_in(service, silent):
                    service.ignored |= silent
            continue
        check_orphans(service)
        if chance.random() < 0.5 or service.retry >= 3:
            service.counts[f"ended: {error.__class__.__name__}"] += 1
            return service
        service.retry += 1
        service.counts["retries"] += 1
    else:
        raise BrokenRule("forty processes, and no end")
    check_orphans(service)
    check_success(service, result)
    service.counts["ended: success"] += 1
    return service


def no_job_in(service: Service, regions: set[str]) -> bool:
    """A person ignores a region only when sure that no job is there, nor will be."""
    return not any(job.region in regions and not job.over(service.now) for job in service.jobs)


def check_line(error: TrainingError) -> None:
    """The end of a run is one line that says what happened."""
    if "\n" in str(error) or not str(error):
        raise BrokenRule(f"no clear line: {error!r}")


def check_exhausted(service: Service, error: TrainingError) -> None:
    """A list that is given up was gone through as often as is allowed."""
    if isinstance(error, JobFailed) or not isinstance(error, VertexError) or error.kind != "stock_out":
        return
    mine = [job.position for job in service.jobs if job.position.retry == service.retry]
    tried = [*mine, *(position for position, _ in service.refused if position.retry == service.retry)]
    if max(position.round for position in tried) != service.limits.rounds:
        raise BrokenRule(f"given up before round {service.limits.rounds}")


def check_retry(service: Service, error: TrainingError, created: int, lost: int) -> None:
    """A person's retry pays for another job, unless it finds one."""
    if error.transient or not service.retry or not isinstance(error, JobFailed):
        return
    mine = [job for job in service.jobs if job.position.retry == service.retry]
    if not mine and created == len(service.jobs) + len(service.refused) and lost == len(service.record):
        raise BrokenRule("a person's retry made no job")


def check_orphans(service: Service) -> None:
    """When the run is over, nothing runs or will run."""
    service.now += 4 * SETTLE
    for job in service.jobs:
        if job.region not in service.ignored and not job.over(service.now) and job.cancels == FOREVER:
            raise BrokenRule(f"an orphan: {job.name}, late: {job.late}")


def check_success(service: Service, result: SubmittedJob | None) -> None:
    """The model comes from the one job that succeeded; a second one is only possible if it appeared late."""
    good = [job for job in service.jobs if job.seen(service.now).ending == "succeeded"]
    if result is None or result.name not in {job.name for job in good}:
        raise BrokenRule("success without a job that succeeded")
    if len(good) > 1 and not any(job.late for job in good):
        raise BrokenRule("two jobs succeeded")


MUTANTS: Sequence[tuple[str, str, str]] = (
    ("keeps the newest live job", "if job.live), key=_age)", "if job.live), key=_age, reverse=True)"),
    ("cancels no second job", "if others := [", "if False and ["),
    ("prefers live to succeeded", "succeeded or ([] if failure else live)", "([] if failure else live) or succeeded"),
    ("doesn't hold for silent regions", "if silent := _silent(view):", "if False and (silent := _silent(view)):"),
    ("gives up while a region is silent", "and not _silent(view):", "and True:"),
    ("doesn't await the end of cancelled jobs", "return AwaitEnd(ending)", "pass"),
    ("creates again inside of the settle window", "_unknown_until(view, limits.settle)) > view.now", "0.0) > view.now"),
    (
        "ends before late jobs appear",
        "(until := _unknown_until(view, LATE * limits.settle)) > view.now",
        "(until := 0.0) > view.now",
    ),
    ("gives the list up before late jobs appear", "if late > view.now else", "if False else"),
    ("counts a lost create as shown by another job", "shown[each.key] -= 1", "pass"),
    ("gives up a job that had started", "and not job.started and", "and"),
    ("never gives up", "now - job.created >= _spot_wait(limits, job)\n\n\ndef _of", "False\n\n\ndef _of"),
    (
        "moves on after preemption",
        'frozenset({"stock_out", "quota", "expired"})',
        'frozenset({"stock_out", "quota", "expired", "platform"})',
    ),
    ("stays after a stock-out", 'frozenset({"stock_out", "quota", "expired"})', 'frozenset({"quota", "expired"})'),
    ("stays after a wait that is over", "return job.ended - job.created >= _spot_wait(limits, job)", "return False"),
    ("moves on after any cancellation", "return job.ended - job.created >= _spot_wait(limits, job)", "return True"),
    ("goes on after a failure of the user's", 'if job.ending == "final"]', "if False]"),
    ("one attempt too many", "max(attempts) >= _allowed", "max(attempts) > _allowed"),
    ("one round too many", "position.round > limits.rounds", "position.round > limits.rounds + 1"),
    ("one round too few", "position.round > limits.rounds", "position.round >= limits.rounds"),
    ("no pause between rounds", "begin > view.now", "False"),
    ("doesn't skip ignored regions", "if limits.spots[entry].region not in view.ignored:", "if True:"),
    ("begins in an ignored region", "if spot.region not in view.ignored)", "if True)"),
    (
        "a retry finds the failure again",
        "[job for job in view.jobs if job.position.retry == view.retry]\n    final",
        "list(view.jobs)\n    final",
    ),
    ("forgets refusals", "view.refusals.get(position)) is not None", "None) is not None"),
    ("doesn't number attempts", "attempt=position.attempt + 1", "attempt=position.attempt"),
)
"""Changes of the rules: a name, a text of `list_rules.py`, and what takes its place."""


def mutated(old: str, new: str) -> Rules:
    """The rules with one change."""
    source = Path(str(rules.__file__)).read_text("utf-8")
    if source.count(old) < 1:
        raise ValueError(f"the rules have no {old!r}")
    module = types.ModuleType(f"{rules.__package__}.mutated")
    module.__package__ = rules.__package__
    exec(compile(source.replace(old, new), "mutated rules", "exec"), module.__dict__)
    return cast("Rules", module)


def found_out(judge: Rules, histories: int, seed: int) -> tuple[int, str]:
    """After how many histories a change is found out, and by which rule; 0 if it isn't."""
    for number in range(1, histories + 1):
        try:
            history(seed + number, judge)
        except BrokenRule as broken:
            return number, str(broken)
        except (RecursionError, AssertionError, IndexError) as error:
            return number, repr(error)
    return 0, "NOT FOUND"


def main() -> int:
    """Prints a table; 1 if a rule was broken, or a mutant was not found out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutants", action="store_true")
    options = parser.parse_args()
    begin, total, broken = time.perf_counter(), Counter[str](), []
    for number in range(options.histories):
        try:
            service = history(options.seed + number)
        except BrokenRule as error:
            broken.append(f"seed {options.seed + number}: {error}")
            continue
        total += service.counts
        total["jobs"] += len(service.jobs)
    print(f"{options.histories:,} histories in {time.perf_counter() - begin:.1f} s, {len(broken)} broken rules")
    print("\n".join(broken[:20]))
    for name, count in sorted(total.items()):
        print(f"  {name:<24}{count:>8,}")
    if not options.mutants:
        return 1 if broken else 0
    print(f"\n{'mutant':<50}{'found after':>12}  by")
    missed = 0
    for name, old, new in MUTANTS:
        after, by = found_out(mutated(old, new), options.histories, options.seed)
        missed += not after
        print(f"{name:<50}{after or '-':>12}  {by}")
    return 1 if broken or missed else 0


if __name__ == "__main__":
    sys.exit(main())
