"""What the rules decide: one move at a time, after which everything is looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .request_view import Position, TryJob


@dataclass(frozen=True, slots=True)
class Follow:
    """This job counts: it is live, it succeeded, or it failed in a way that no other job may follow.

    Attributes:
        job: The job.
        attempt: The number of its attempt among those of this retry; 0 for a job from before the retry.
        allowed: How many attempts there may be.
    """

    job: TryJob
    attempt: int
    allowed: int


@dataclass(frozen=True, slots=True)
class CancelJobs:
    """These live jobs are too many; they are cancelled."""

    jobs: Sequence[TryJob]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This job has waited too long: it is cancelled, unless it has started just now."""

    job: TryJob


@dataclass(frozen=True, slots=True)
class AwaitEnd:
    """Cancelled jobs have not ended: nothing new is created before that is confirmed."""

    jobs: Sequence[TryJob]


@dataclass(frozen=True, slots=True)
class Hold:
    """These regions don't answer, and one of them may have the job: nothing new is created."""

    regions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is done until a moment, in seconds since 1970."""

    until: float
    why: str


@dataclass(frozen=True, slots=True)
class CreateJob:
    """A job is created at this position of the list."""

    position: Position


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The list was gone through as often as is allowed, and no place had machines."""


Move = Follow | CancelJobs | GiveUp | AwaitEnd | Hold | Pause | CreateJob | Exhausted
