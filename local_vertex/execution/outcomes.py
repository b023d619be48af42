"""How attempts end, what the service says of it, and which ends Vertex AI answers with another attempt.

The texts are those seen in public reports; [?] marks what nobody could verify without a project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .replica import Exit

Kind = Literal["succeeded", "failed", "stock_out", "preempted", "internal", "crashed", "cancelled"]

MAX_RESTARTS = {"stock_out": 3, "preempted": 6, "internal": 2, "crashed": 3}
"""How often each kind is answered with a new attempt; an internal error has 3 attempts in all."""

CRASHES = frozenset((134, 139))
"""Exit statuses of a replica that is started again: SIGABRT and SIGSEGV."""

CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL = 1, 3, 4, 8, 13


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended.

    Attributes:
        kind: What decides whether there is another one.
        code: A google.rpc.Code; 0 on success.
        message: The job's error text, if there is no other attempt.
        time: When the primary replica ended, seconds since 1970; 0 where that is not why.
    """

    kind: Kind
    code: int = 0
    message: str = ""
    time: float = 0.0


def exited(replica: str, end: Exit, job_id: str, *, restarts_job: bool) -> Ending:
    """A replica ended that should not have; a crash is the whole job's affair only if it asked for that."""
    if end.reason == "Lost":
        return internal_error()
    if end.reason == "OOMKilled":
        return low_memory(replica.rpartition("-")[0])
    said = f"{end.message}. " if end.message else ""
    text = (
        f"The replica {replica} exited with a non-zero status of {end.code}. Termination reason: {end.reason}. {said}"
        f"To find out more about why your job exited please check the logs: vertex-training local logs {job_id}"
    )
    return Ending("crashed" if restarts_job and end.code in CRASHES else "failed", INVALID_ARGUMENT, text)


def stock_out(region: str) -> Ending:
    """No machine is free."""
    text = (
        f"Resources are insufficient in region: {region}. Please try a different region or use a different accelerator."
    )
    return Ending("stock_out", RESOURCE_EXHAUSTED, text)


def low_memory(pool: str) -> Ending:
    """A pool's machine ran out of memory; which code comes with it is unknown [?]."""
    text = f"Replicas low on memory: {pool}. Specify a machine with larger memory and try again."
    return Ending("failed", RESOURCE_EXHAUSTED, text)


def preempted(replica: str) -> Ending:
    """The machine was taken back; the text after the last restart is unknown [?]."""
    return Ending("preempted", 14, f"The replica {replica} was preempted.")


def internal_error() -> Ending:
    """The platform's own fault."""
    return Ending("internal", INTERNAL, "Internal error occurred for the current attempt")


def timed_out(seconds: float) -> Ending:
    """The job ran longer than `scheduling.timeout`.

    Which state and code the real service gives is unknown [?]; FAILED is what its documents describe for jobs that
    did not succeed, while EXPIRED is only said of jobs that waited too long.
    """
    text = f"The job exceeded its time limit: it ran longer than the timeout of {seconds:g} seconds."
    return Ending("failed", DEADLINE_EXCEEDED, text)
