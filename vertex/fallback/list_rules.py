"""The rules of a fall-back list. They do no I/O: from what is known they decide the next move.

- One job counts over all regions: the oldest that succeeded, else the oldest live one. Every other live job is
  cancelled. All processes that look apply the same rule, so they agree without talking to each other.
- The list moves on only after a stock-out, a quota, or a wait that is over, and only when the job of the place before
  has surely ended. A job that starts late is kept.
- A failure that the user must fix ends everything. One of the platform's is tried again at the same place, within the
  budget of attempts; jobs without machines have a budget of their own, the rounds.
- A region that doesn't answer may have the job, and so may a create whose answer was lost: nothing new is created
  before that is known, or a person ignores the region.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from .moves import AwaitEnd, CancelJobs, CreateJob, Exhausted, Follow, GiveUp, Hold, Move, Pause
from .request_view import Limits, Position, TryJob, View

LATE = 3
"""Settle windows after which, at a request's end, a create without an answer is taken not to have been carried out."""

_CAPACITY = frozenset({"stock_out", "quota", "expired"})


def decide(limits: Limits, view: View) -> Move:
    """The next move.

    Args:
        limits: The list, and the budgets.
        view: All that is known.
    """
    failure = _final_failure(limits, view)
    live = sorted((job for job in view.jobs if job.live), key=_age)
    succeeded = sorted((job for job in view.jobs if job.ending == "succeeded"), key=_age)
    kept = next(iter(succeeded or ([] if failure else live)), None)
    if others := [job for job in live if job is not kept]:
        return CancelJobs(others)
    if kept is not None and kept.live:
        return _of_live(limits, view, kept)
    if (last := kept or failure) is not None:
        return _end(limits, view, last)
    if ending := [job for job in view.jobs if job.phase == "ending"]:
        return AwaitEnd(ending)
    return _next(limits, view)


def wait_is_over(limits: Limits, job: TryJob, now: float) -> bool:
    """Whether a job without machines has waited as long as its place in the list allows."""
    return job.phase == "waiting" and not job.started and now - job.created >= _spot_wait(limits, job)


def _of_live(limits: Limits, view: View, job: TryJob) -> Move:
    # While a region is silent nothing can follow, so giving up this job would only lose its place in the queue.
    if wait_is_over(limits, job, view.now) and not _silent(view):
        return GiveUp(job)
    return _follow(limits, view, job)


def _follow(limits: Limits, view: View, job: TryJob) -> Follow:
    attempt = job.position.attempt if job.position.retry == view.retry else 0
    return Follow(job, attempt, _allowed(limits, view))


def _end(limits: Limits, view: View, job: TryJob) -> Move:
    """The request ends with this job, once no create can have made another one."""
    if (until := _unknown_until(view, LATE * limits.settle)) > view.now:
        return Pause(until, "a create without an answer")
    return _follow(limits, view, job)


def _next(limits: Limits, view: View) -> Move:
    """No job counts: the next one is created, when it is sure that there is none."""
    if silent := _silent(view):
        return Hold(silent)
    if (until := _unknown_until(view, limits.settle)) > view.now:
        return Pause(until, "a create without an answer")
    position, since = _due(limits, view)
    if position.round > limits.rounds:
        late = _unknown_until(view, LATE * limits.settle)
        return Pause(late, "a create without an answer") if late > view.now else Exhausted()
    begin = since + _pause(limits, position.round)
    if since and position.entry == _first(limits, view) and begin > view.now:
        return Pause(begin, f"round {position.round} of {limits.rounds}")
    return CreateJob(position)


def _due(limits: Limits, view: View) -> tuple[Position, float]:
    """The position of the next job, and when the list last moved on; 0 if it has not."""
    mine = [job for job in view.jobs if job.position.retry == view.retry]
    position = Position(view.retry, 1, _first(limits, view), 1)
    since = 0.0
    if mine:
        position = max(job.position for job in mine)
        there = [job for job in mine if job.position == position]
        # Of two jobs of one position, the one that was cancelled as one too many says nothing.
        last = [job for job in there if job.ending != "cancelled"] or there
        if any(_without_machines(limits, job) for job in last):
            since = max(job.ended for job in last)
            position = _after(limits, view, position)
        elif any(job.ending == "platform" for job in last):
            position = replace(position, attempt=position.attempt + 1)
    while (refusal := view.refusals.get(position)) is not None:
        since = max(since, refusal.at)
        position = _after(limits, view, position)
    return position, since


def _after(limits: Limits, view: View, position: Position) -> Position:
    """The next position of the list that isn't ignored."""
    for entry in range(position.entry + 1, len(limits.spots)):
        if limits.spots[entry].region not in view.ignored:
            return replace(position, entry=entry)
    return replace(position, entry=_first(limits, view), round=position.round + 1)


def _first(limits: Limits, view: View) -> int:
    usable = (entry for entry, spot in enumerate(limits.spots) if spot.region not in view.ignored)
    return next(usable, 0)


def _pause(limits: Limits, number: int) -> float:
    """Seconds before a round."""
    return 0.0 if number <= 1 else min(limits.pause * 2 ** (number - 2), limits.longest_pause)


def _without_machines(limits: Limits, job: TryJob) -> bool:
    """Whether a job ended because there were no machines for it; one that was cancelled after its wait did."""
    if job.ending == "cancelled":
        return job.ended - job.created >= _spot_wait(limits, job)
    return job.ending in _CAPACITY


def _final_failure(limits: Limits, view: View) -> TryJob | None:
    """The job whose failure ends the request: one that the user must fix, or the last attempt allowed."""
    mine = [job for job in view.jobs if job.position.retry == view.retry]
    final = [job for job in mine if job.ending == "final"]
    attempts = {job.position.attempt: job for job in mine if job.ending == "platform"}
    if not final and attempts and max(attempts) >= _allowed(limits, view):
        final = [attempts[max(attempts)]]
    return min(final, key=_age, default=None)


def _allowed(limits: Limits, view: View) -> int:
    """How many attempts this retry may make: what earlier ones have left, at least one."""
    failed = {
        (job.position.retry, job.position.attempt)
        for job in view.jobs
        if job.position.retry < view.retry and job.ending in {"platform", "final"}
    }
    return max(1, limits.allowed - len(failed)) if view.retry else limits.allowed


def _silent(view: View) -> list[str]:
    return sorted(set(view.unanswered) - set(view.ignored))


def _unknown_until(view: View, window: float) -> float:
    """When it will be known of every create call whether it made a job; 0 if it is.

    Where a key has fewer jobs than calls, the newest of its calls are taken for those without a job: the safe choice.
    """
    shown = Counter(job.key for job in view.jobs)
    until = 0.0
    for each in sorted(view.creates, key=lambda create: create.at):
        if shown[each.key]:
            shown[each.key] -= 1
        else:
            until = max(until, each.at + window)
    return until


def _spot_wait(limits: Limits, job: TryJob) -> float:
    entry = job.position.entry
    return limits.spots[entry].wait if entry < len(limits.spots) else float("inf")


def _age(job: TryJob) -> tuple[float, str]:
    return (job.created, job.name)


def regions_of(limits: Limits) -> Sequence[str]:
    """The regions of the list, each once, in its order."""
    return tuple(dict.fromkeys(spot.region for spot in limits.spots))
