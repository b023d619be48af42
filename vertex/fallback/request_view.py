"""What is known of a request's jobs over all regions of its list, as plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["waiting", "running", "ending", "ended"]
"""Of a job: without machines so far, with machines, being cancelled, over."""

Ending = Literal["succeeded", "stock_out", "quota", "expired", "cancelled", "platform", "final"]
"""How a job ended: `expired` waited as long as the service allows, `platform` can end otherwise in another attempt at
the same place, `final` is a failure that the user must fix."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """One place in the order in which jobs of a request are created.

    Attributes:
        retry: How often a person had retried the run.
        round: Which pass through the list, from 1.
        entry: Index in the list, from 0.
        attempt: Number of the script's attempt, from 1: jobs that got no machines don't count.
    """

    retry: int
    round: int
    entry: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Spot:
    """One entry of the list, as far as the rules need it.

    Attributes:
        region: As "europe-west4".
        wait: Seconds after its creation in which a job must get machines.
    """

    region: str
    wait: float


@dataclass(frozen=True, slots=True)
class TryJob:
    """A job of the request, in any state.

    Attributes:
        name: Its full name, or what tells it from others.
        region: Where it is.
        key: Its key; at most one job of a key is meant to live.
        position: From its labels.
        phase: How far it is.
        created: Seconds since 1970, like every time here.
        started: Whether it has ever got machines.
        ended: When it ended; 0 for one that has not.
        ending: How; None for one that has not.
        why: In words, for people; empty for none.
    """

    name: str
    region: str
    key: str
    position: Position
    phase: Phase
    created: float
    started: bool = False
    ended: float = 0.0
    ending: Ending | None = None
    why: str = ""

    @property
    def live(self) -> bool:
        """Whether it may run and cost; one that is being cancelled doesn't count."""
        return self.phase in {"waiting", "running"}


@dataclass(frozen=True, slots=True)
class Create:
    """A create call that was sent, and perhaps carried out.

    Attributes:
        key: The key of the job.
        region: Where.
        at: When it was sent.
    """

    key: str
    region: str
    at: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A create that was refused because of a quota or a stock-out: there is no job of it.

    Attributes:
        at: When.
        why: In words.
        ending: The kind.
    """

    at: float
    why: str
    ending: Ending = "quota"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rules go by.

    Attributes:
        spots: The list, in order.
        allowed: How often the script may be attempted, as `attempt_budget.jobs_allowed` says.
        rounds: How often the list is gone through.
        pause: Seconds before the second round; twice as long before each further one.
        longest_pause: Most seconds of such a pause.
        settle: The settle window: a job may be missing from lists for that long after its creation.
    """

    spots: Sequence[Spot]
    allowed: int = 3
    rounds: int = 2
    pause: float = 300.0
    longest_pause: float = 1800.0
    settle: float = 45.0


@dataclass(frozen=True, slots=True)
class View:
    """All that is known at one moment.

    Attributes:
        now: That moment.
        retry: How often a person has retried the run by now.
        jobs: Every job of the request that is listed, or known by name.
        unanswered: Regions whose list could not be had.
        ignored: Regions that a person has told to leave out.
        creates: The create calls that were sent and not refused.
        refusals: The refused ones, by position.
    """

    now: float
    retry: int = 0
    jobs: Sequence[TryJob] = ()
    unanswered: Collection[str] = ()
    ignored: Collection[str] = ()
    creates: Sequence[Create] = ()
    refusals: Mapping[Position, Refusal] = field(default_factory=dict)
