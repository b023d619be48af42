"""When a sweep has had enough trials."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from ..core.errors import VertexError
from ..project.settings.sweep_settings import SweepSettings
from .trial_records import SweepPlan, TrialRecord, best_of


def without_progress(records: Sequence[TrialRecord], settings: SweepSettings) -> str:
    """Why no further trial is begun; empty while further ones are.

    Trials count in the order of their numbers, which is the same on every worker.
    """
    if not settings.stop_after:
        return ""
    best = best_of(records, settings.goal)
    if best is None:
        return ""
    later = [each for each in records if each.end and each.end.state != "failed" and each.number > best.number]
    if len(later) < settings.stop_after:
        return ""
    return f"no progress in {len(later)} trials since trial {best.number}"


def refuse_failures(records: Sequence[TrialRecord], settings: SweepSettings) -> None:
    """Ends a sweep in which too many trials have failed.

    Raises:
        VertexError: As many have failed as `max-failures` says.
    """
    failed = [each for each in records if each.end and each.end.state == "failed"]
    ended = sum(each.end is not None for each in records)
    if len(failed) < settings.max_failures:
        return
    last = failed[-1]
    reason = last.end.reason if last.end else ""
    many = f"all {ended} trials" if len(failed) == ended else f"{len(failed)} of {ended} trials"
    raise VertexError(
        f"{many} failed, as many as max-failures allows; trial {last.number}: {reason.rstrip('.')}",
        next_step="Put that right, or narrow the space, and run the sweep again",
    )


def refuse_missing_metric(records: Sequence[TrialRecord], plan: SweepPlan) -> None:
    """Ends a sweep whose first trials reported no metric of the name that it looks for.

    Raises:
        VertexError: A trial has ended without it, and no other has reported it.
    """
    without = [each for each in records if each.end and each.end.reason.startswith(NO_METRIC)]
    if not without or any(each.end and (each.end.value is not None or each.end.points) for each in records):
        return
    first = without[0]
    names = list(first.end.other_metrics) if first.end else []
    near = get_close_matches(plan.metric, names, n=1, cutoff=0.5)
    step = f"Did you mean {near[0]}?" if near else "Print it as a JSON line, or as name=value, or write metrics.json"
    found = f"it reported {', '.join(names[:8])}" if names else "it reported no number at all"
    raise VertexError(
        f"the metric {plan.metric} never appeared in trial {first.number}: {found}", where="metric", next_step=step
    )


NO_METRIC = "no metric"
"""Begin of the reason of a trial that succeeded and reported no metric."""


def refuse_nothing_found(records: Sequence[TrialRecord], plan: SweepPlan) -> TrialRecord:
    """The best trial of a sweep that is over.

    Raises:
        VertexError: No trial has completed.
    """
    best = best_of(records, plan.goal)
    if best is not None:
        return best
    failed = [each for each in records if each.end and each.end.state == "failed"]
    reason = failed[-1].end.reason.rstrip(".") if failed and failed[-1].end else "none was run"
    raise VertexError(
        f"none of {len(records)} trials found a model; the last: {reason}",
        next_step="Put that right, and run the sweep again",
    )
