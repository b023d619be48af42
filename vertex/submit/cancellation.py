"""Cancels jobs and confirms that they ended. Every call may be repeated at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from ...core.errors import TrainingError, VertexError, VertexUnavailable
from ...core.retry import backoff
from ..client.calls import get, is_live, listed, patiently, request_cancel, state_of, status_of
from ..client.connection import Connection
from ..client.errors import Code
from ..job_types import TERMINAL, State, SubmittedJob
from ..labels import KEY_LABEL
from .intent import intent_time

_LEAST_PATIENCE = 5.0
"""Seconds for which a cancel call without an answer is repeated, however short the wait for the job's end."""


def cancel(
    connection: Connection,
    name: str,
    *,
    wait: float = 120.0,
    patience: float = _LEAST_PATIENCE,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> State:
    """Cancels a job and waits until it has ended; a job that has ended already is left alone.

    Args:
        connection: Connection to where the job runs.
        name: The job's full name.
        wait: Seconds to wait for the end; 0 asks once and returns the state at that time.
        patience: Seconds for which a call without an answer is repeated, where `wait` is shorter.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.

    Returns:
        The job's state: terminal, unless `wait` is 0.

    Raises:
        VertexError: There is no such job, or it may not be cancelled.
        VertexUnavailable, LocalServiceError: No answer, or the job has not ended after `wait` seconds.
    """
    end = clock() + wait
    waits = backoff(base=connection.poll, limit=5.0)
    asked = False
    while True:
        limit = min(connection.pace.patience, max(end - clock(), patience))
        job = patiently(lambda: get(connection, name), connection, clock=clock, sleep=sleep, patience=limit)
        state = state_of(job)
        if state in TERMINAL:
            return state
        if not asked and state != "JOB_STATE_CANCELLING":
            patiently(lambda: cancel_quietly(connection, name), connection, clock=clock, sleep=sleep, patience=limit)
            asked = True
            if wait > 0:
                continue
        if wait <= 0:
            return state
        if clock() >= end:
            raise VertexUnavailable(
                f"the job was asked to end {wait:.0f} s ago and is still {state}",
                where=name,
                next_step="Cancel it again, or look at it in the console: it costs until it ends",
            )
        sleep(next(waits))


def cancel_by_key(
    connection: Connection,
    key: str,
    *,
    label: str = KEY_LABEL,
    recorded: str | None = None,
    wait: float = 120.0,
    enough: Callable[[State], bool] = lambda _: False,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> list[SubmittedJob]:
    """Cancels every live job of a key, for hooks that run in another process and know nothing but the key.

    Args:
        connection: Connection to where the jobs run.
        key: The key given to `submit`, or the value of another label of the jobs.
        label: The label that carries it.
        recorded: The text that `submit` recorded. A job created less than a settle window ago may not be listed yet;
            with this text it is waited for.
        wait: As in `cancel`, for all jobs together.
        enough: Whether a job in this state is the one that might not be listed yet; then no other is waited for.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.

    Returns:
        The jobs of the key, oldest first; all in a terminal state, unless `wait` is 0.

    Raises:
        VertexError: As `cancel`.
    """
    end = clock() + wait
    until = intent_time(recorded, clock()) + connection.settle
    waits = backoff(base=max(connection.poll, 0.01), limit=max(connection.settle / 4, 0.01))
    while True:
        began = clock()
        jobs = patiently(lambda: listed(connection, key, label=label), connection, clock=clock, sleep=sleep)
        # Every job is cancelled before any is waited for: each minute of each job costs.
        live = [job for job in jobs if is_live(job)]
        for job in live:
            patiently(lambda name=job.name: cancel_quietly(connection, name), connection, clock=clock, sleep=sleep)
        if began >= until or any(enough(state_of(job)) for job in jobs):
            break
        sleep(min(next(waits), max(until - clock(), 0.001)))
    stopped = []
    for job in jobs:
        left = max(end - clock(), _LEAST_PATIENCE) if wait > 0 else 0.0
        state = cancel(connection, job.name, wait=left, clock=clock, sleep=sleep)
        stopped.append(SubmittedJob(job.name, state, adopted=True, console=connection.console(job.name)))
    return stopped


def cancel_live(
    connection: Connection,
    key: str,
    *,
    label: str,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> list[SubmittedJob]:
    """Asks the jobs of a key that are live now to end, and returns them; those that have ended are left alone.

    Args:
        connection: Connection to where the jobs run.
        key: The value of the label.
        label: The label that the jobs have in common.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.

    Raises:
        VertexError: One may not be cancelled, or no answer came (then transient).
    """
    jobs = patiently(lambda: listed(connection, key, label=label), connection, clock=clock, sleep=sleep)
    live = [job for job in jobs if is_live(job)]
    for job in live:
        patiently(lambda name=job.name: cancel_quietly(connection, name), connection, clock=clock, sleep=sleep)
    return [SubmittedJob(job.name, state_of(job), adopted=True, console=connection.console(job.name)) for job in live]


def await_end(
    connection: Connection,
    jobs: Sequence[SubmittedJob],
    wait: float,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> list[SubmittedJob]:
    """The jobs with their states once all have ended, or after `wait` seconds; an unanswered read changes nothing."""
    end, known = clock() + wait, list(jobs)
    waits = backoff(base=connection.poll, limit=1.0)
    while clock() < end and not all(job.state in TERMINAL for job in known):
        sleep(next(waits))
        with suppress(TrainingError):
            known = [
                job if job.state in TERMINAL else replace(job, state=state_of(get(connection, job.name)))
                for job in known
            ]
    return known


def cancel_quietly(connection: Connection, name: str) -> None:
    """Requests a job's cancellation; for a job that has ended or was deleted this does nothing.

    Whether the service answers OK or FAILED_PRECONDITION for a job that has ended is not documented.

    Raises:
        VertexError: It may not be cancelled, or no answer came (then transient).
    """
    try:
        request_cancel(connection, name)
    except VertexError as error:
        if status_of(error) not in {Code.FAILED_PRECONDITION, Code.NOT_FOUND}:
            raise
