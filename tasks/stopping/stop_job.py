"""Cancels a run's job when the run ends early, and logs the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from ...vertex.client.connection import Connection
from ...vertex.job_types import TERMINAL, State, SubmittedJob
from ...vertex.labels import REQUEST_LABEL
from ...vertex.submit.cancellation import await_end, cancel_by_key, cancel_live
from ...vertex.submit.intent import intent_text
from ..reporting.step_log import LogFunction, step_log
from .open_jobs import OpenJobs

C = TypeVar("C", bound=Connection)

WINDOW = 20.0
"""Seconds in which a job's cancel must have got an answer. Prefect kills a process 30 s after asking it to end."""

ENDING = 2.0
"""Seconds for the job's end after that. The run counts as cancelled only when this process and the hook have ended."""


def is_stopped(state: State) -> bool:
    """Whether no further job of the run can follow a job in this state: it is live, or it was cancelled."""
    return state not in TERMINAL or state == "JOB_STATE_CANCELLED"


def stop(
    connection: C,
    cancel: Callable[[C], Sequence[SubmittedJob]],
    *,
    log: LogFunction,
    warn: LogFunction,
    name: str = "",
) -> bool:
    """Cancels jobs, and logs for each whether it has ended; never raises. Returns whether all were asked to end.

    Args:
        connection: The service that runs the jobs.
        cancel: Cancels them without waiting for their end, with a connection whose calls end within `WINDOW`.
        log: Logs successes.
        warn: Logs failures: a job that goes on costs money until somebody ends it.
        name: The job's name, if it is known.
    """
    try:
        jobs = cancel(connection.within(WINDOW))
    except Exception as error:  # noqa: BLE001 - the run is ending: whatever went wrong is logged, and it goes on ending
        # A call that got no answer may have been carried out all the same.
        place = " ".join(filter(None, [name, name and connection.console(name)])) or "this run's training job"
        command = connection.cancel_command(name) if name else "vertex-training orphans --cancel"
        warn(f"{place} may still run and cost, because it could not be cancelled: {error}. End it: {command}")
        return False
    for job in await_end(connection, jobs, ENDING):
        if job.state in TERMINAL:
            log(f"{job.name} has ended: {job.state}")
        else:  # as usual in the cloud, where the end takes longer than anybody should wait
            log(
                f"warning: {job.name} was asked to end and is still {job.state}; it costs until it ends. "
                f"Look at it: {job.console or 'vertex-training local status'}, or end it: "
                f"{connection.cancel_command(job.name)}"
            )
    return True


def stop_request(connection: Connection, key: str, recorded: str | None) -> bool:
    """Cancels the jobs of a request, also one whose create got no answer; returns whether all were asked to end.

    Args:
        connection: The service that may have jobs of the request.
        key: The request's key.
        recorded: The text that was recorded before the last create, as `cancel_by_key` takes it.
    """

    def cancel(limited: Connection) -> list[SubmittedJob]:
        return cancel_by_key(limited, key, label=REQUEST_LABEL, recorded=recorded, wait=0.0, enough=is_stopped)

    return stop(connection, cancel, log=step_log("submit"), warn=step_log("submit", level=logging.ERROR))


def stop_in_all(connections: Sequence[Connection], stop_in: Callable[[Connection], bool]) -> bool:
    """Calls `stop_in` for every region at once, as a silent one must not use up the time of the others.

    Args:
        connections: One for each region.
        stop_in: Cancels the jobs there; returns whether all were asked to end.
    """
    contexts = [copy_context() for _ in connections]  # the run's log is known by the context
    with ThreadPoolExecutor(max(1, len(connections)), thread_name_prefix="stop") as pool:
        done = pool.map(lambda context, each: context.run(stop_in, each), contexts, connections)
        return all(list(done))


@contextmanager
def job_ends_with_run(connections: Iterable[Connection], key: str) -> Iterator[None]:
    """Cancels a request's jobs if the run is ended between two steps, while none of them takes care of the job.

    The hook of a cancelled run would do so, too, but in a process of its own, which needs seconds to begin. With
    several services each of them is asked in any case: a create whose answer was lost may have made a job beside the
    one that was watched.

    Args:
        connections: The services that may have jobs of the request.
        key: The request's key.
    """
    services = list(connections)
    try:
        yield
    except Exception:
        raise
    except BaseException:
        notes = OpenJobs.of_this_run()
        names, recorded = notes.names(), intent_text(key, time.time())
        if names and stop_in_all(services, lambda each: stop_request(each, key, recorded)):
            for name in names:
                notes.stopped(name)
        elif not names and len(services) > 1:
            log, warn = step_log("submit"), step_log("submit", level=logging.ERROR)
            live = partial(cancel_live, key=key, label=REQUEST_LABEL)
            stop_in_all(services, lambda each: stop(each, live, log=log, warn=warn))
        raise
