"""Ending a run's job when the run is over before its time, and saying so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..vertex.client.connection import Connection
from ..vertex.job_types import TERMINAL, State, SubmittedJob
from .reporting.step_log import LogFunction

WINDOW = 20.0
"""Seconds for cancelling a job and seeing it end: Prefect kills a process 30 s after it was asked to end."""


def is_stopped(state: State) -> bool:
    """Whether a job in this state was the run's last one: it was cancelled, here or before."""
    return state not in TERMINAL or state == "JOB_STATE_CANCELLED"


def stop(
    connection: Connection,
    cancel: Callable[[Connection], Sequence[SubmittedJob]],
    *,
    log: LogFunction,
    shout: LogFunction,
    what: str = "",
) -> None:
    """Cancels jobs and tells of each that it has ended, or that it has not; never raises.

    Args:
        connection: Where the jobs are.
        cancel: Ends them through the hasty connection that it is given.
        log: For what went well.
        shout: For what did not: a job that may run on costs until somebody ends it.
        what: The job's name, where one is known.
    """
    try:
        jobs = cancel(connection.within(WINDOW))
    except Exception as error:  # noqa: BLE001 - the run is ending: whatever went wrong is told, and it goes on ending
        # What was asked of the service without its answer may have been done all the same.
        place = " ".join(filter(None, [what, what and connection.console(what)])) or "this run's training job"
        command = connection.cancel_command(what) if what else "vertex-training orphans --cancel"
        shout(f"{place} may still run and cost, for it could not be cancelled: {error}. End it: {command}")
        return
    for job in jobs:
        if job.state in TERMINAL:
            log(f"{job.name} has ended: {job.state}")
        else:
            shout(
                f"{job.name} was asked to end and is still {job.state}; it costs until it ends. "
                f"Look at it: {job.console or 'vertex-training local status'}, or end it: "
                f"{connection.cancel_command(job.name)}"
            )
