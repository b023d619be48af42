"""The loop over a list: what the rules say follows a failure, and failures that end it whatever they say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from prefect_vertex_training.core.errors import JobFailed
from prefect_vertex_training.vertex.fallback.run_list import run_list
from prefect_vertex_training.vertex.job_types import State, SubmittedJob


def job(name: str, state: State = "JOB_STATE_RUNNING") -> SubmittedJob:
    """A job, attempt 2 of 2."""
    return SubmittedJob(name, state, attempt=2, allowed=2)


def run(placed: Sequence[SubmittedJob], ended: Sequence[JobFailed | str]) -> tuple[str, list[str]]:
    """What the loop returns for these answers of `place` and `watch`, and its warnings."""
    places, ends, warnings = iter(placed), iter(ended), list[str]()

    def watch(_: SubmittedJob) -> str:
        end = next(ends)
        if isinstance(end, JobFailed):
            raise end
        return end

    found, _ = run_list(
        lambda: next(places),
        watch,
        confirm=lambda: placed[-1],
        is_decided=lambda end: end == "ended early",
        warn=warnings.append,
        waits=itertools.repeat(0.0),
        poll=0.0,
        sleep=lambda _: None,
    )
    return found.name, warnings


def failed(kind: str, *, retryable: bool = True) -> JobFailed:
    """A failure of that kind."""
    return JobFailed("it failed", kind=kind, retryable=retryable, next_step="Do it")


def test_the_next_job_follows() -> None:
    """After a stock-out and a preemption; each is said once."""
    name, warnings = run([job("a"), job("b"), job("c")], [failed("stock_out"), failed("preempted"), "model"])

    assert name == "c"
    assert len(warnings) == 2


def test_a_success_that_does_not_count_is_not_the_answer() -> None:
    """An older job that appeared late and succeeded, too, is watched instead."""
    assert run([job("young"), job("old")], ["model", "older model"])[0] == "old"


def test_a_job_that_was_ended_early_is_the_answer() -> None:
    """It was cancelled because it is not worth going on, as a trial of a sweep may be: no other place follows."""
    assert run([job("a"), job("b")], ["ended early"])[0] == "a"


@pytest.mark.parametrize("kind", ["cancelled", "cost_cap"])
def test_some_failures_end_the_list(kind: str) -> None:
    """No job follows one that somebody cancelled, or that used the money up."""
    with pytest.raises(JobFailed, match="it failed"):
        run([job("a"), job("b")], [failed(kind, retryable=False), "model"])


def test_the_last_attempt_says_so() -> None:
    """The rules answer with the job that failed: nothing follows."""
    with pytest.raises(JobFailed, match="attempt 2 of 2"):
        run([job("a"), job("a", "JOB_STATE_FAILED")], [failed("preempted")])
