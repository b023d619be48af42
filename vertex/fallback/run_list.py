"""Follows a request through its list: places a job, watches it, and asks the rules again when it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from ...core.errors import JobFailed
from ..job_types import TERMINAL, SubmittedJob

T = TypeVar("T")

WITHOUT_MACHINES = frozenset({"stock_out", "quota", "waited", "superseded", "time_limit"})
"""Kinds of failure after which the rules are asked at once; after others a while later."""

ENDS = frozenset({"cancelled", "cost_cap"})
"""Kinds of failure that end the run whatever the rules say: somebody cancelled the job, or the money is used up."""


def run_list(
    place: Callable[[], SubmittedJob],
    watch: Callable[[SubmittedJob], T],
    *,
    confirm: Callable[[], SubmittedJob],
    warn: Callable[[str], None],
    is_decided: Callable[[T], bool] = lambda _: False,
    waits: Iterator[float],
    poll: float,
    sleep: Callable[[float], None],
) -> tuple[SubmittedJob, T]:
    """The job that succeeded, and what watching it returned.

    Args:
        place: The job that counts now, from `Driver.place`; it may have ended.
        watch: Follows it to its end, or until it doesn't count any more.
        confirm: As `place`, after a success: waits until no create can have made a further job, and cancels one that
            appeared late.
        warn: Called with a line for each job after which another one follows.
        is_decided: Whether what watching returned ends the run although the job was ended before its own end.
        waits: Seconds to wait after failures of the platform.
        poll: Seconds to wait after others.
        sleep: Waits.

    Raises:
        JobFailed: No other job may follow: the user must fix the failure, cancelled the job, or the budget is used up.
        VertexError: As `Driver.place`.
    """
    failed: dict[str, JobFailed] = {}
    while True:
        job = place()
        if job.name in failed and job.state in TERMINAL:
            raise _last(failed[job.name], job)
        try:
            found = watch(job)
            if is_decided(found) or confirm().name == job.name:
                return job, found
        except JobFailed as error:
            if error.kind in ENDS:
                raise
            failed[job.name] = error
            if error.retryable or error.kind in WITHOUT_MACHINES:
                warn(f"{error.what}; the fall-back list decides what follows")
            sleep(poll if error.kind in WITHOUT_MACHINES or not error.retryable else next(waits))


def _last(error: JobFailed, job: SubmittedJob) -> JobFailed:
    if not error.retryable:
        return error
    budget = f"this was attempt {job.attempt} of {job.allowed}; Retry by a person starts another one"
    return error.replace(next_step=f"{error.next_step}; {budget}")
