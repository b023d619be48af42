"""The outcomes of attempts: their error texts, and how often Vertex AI restarts a job after each.

The texts are those of public reports; [?] marks what could not be verified without a Google Cloud project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .replica.runner import Exit

Kind = Literal["succeeded", "failed", "stock_out", "preempted", "internal", "crashed", "cancelled", "expired"]

MAX_RESTARTS = {"stock_out": 3, "preempted": 6, "internal": 2, "crashed": 3}
"""Number of restarts after each kind of outcome; after an internal error there are 3 attempts in total."""

CRASHES = frozenset((134, 139))
"""Exit statuses after which a replica is restarted: SIGABRT and SIGSEGV."""

CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL = 1, 3, 4, 8, 13


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        kind: Decides how often the job is restarted.
        code: A google.rpc.Code; 0 on success.
        message: The job's error text, unless it is restarted.
        time: When the primary replica succeeded, seconds since 1970; 0 for all other outcomes.
    """

    kind: Kind
    code: int = 0
    message: str = ""
    time: float = 0.0


def exited(replica: str, end: Exit, job_id: str, words: str, *, restarts_job: bool) -> Outcome:
    """A replica failed.

    Args:
        replica: Its name.
        end: How it ended.
        job_id: The job.
        words: What it wrote last; empty for nothing.
        restarts_job: Whether a crash restarts the whole job.
    """
    if end.reason == "Lost":
        return internal_error()
    if end.reason == "OOMKilled":
        return low_memory(replica.rpartition("-")[0])
    reason = f"{end.message}. " if end.message else ""
    output = f"\n{words}\n\n" if words else ""
    text = (
        f"The replica {replica} exited with a non-zero status of {end.code}. Termination reason: {end.reason}. {reason}"
        f"{output}To find out more about why your job exited please check the logs: vertex-training local logs {job_id}"
    )
    return Outcome("crashed" if restarts_job and end.code in CRASHES else "failed", INVALID_ARGUMENT, text)


def stock_out(region: str) -> Outcome:
    """No machine is available."""
    text = (
        f"Resources are insufficient in region: {region}. Please try a different region or use a different accelerator."
    )
    return Outcome("stock_out", RESOURCE_EXHAUSTED, text)


def expired(seconds: float) -> Outcome:
    """FLEX_START found no machine within `max_wait_duration`; the real service's text is unknown [?]."""
    text = f"The job expired: no resources were found within the max wait duration of {seconds:g} seconds."
    return Outcome("expired", DEADLINE_EXCEEDED, text)


def low_memory(pool: str) -> Outcome:
    """A pool's machine ran out of memory."""
    text = f"Replicas low on memory: {pool}. Specify a machine with larger memory and try again."
    return Outcome("failed", RESOURCE_EXHAUSTED, text)


def cancelled() -> Outcome:
    """A client has cancelled the job; the text is the real service's, in its own spelling."""
    return Outcome("cancelled", CANCELLED, "CANCELED")


def preempted(replica: str) -> Outcome:
    """The machine was preempted; the text after the last restart is unknown [?]."""
    return Outcome("preempted", 14, f"The replica {replica} was preempted.")


def internal_error() -> Outcome:
    """An error of the platform."""
    return Outcome("internal", INTERNAL, "Internal error occurred for the current attempt")


def timed_out(seconds: float) -> Outcome:
    """The job ran longer than `scheduling.timeout`.

    The real service's state and code are unknown [?]. Its documentation describes FAILED for jobs that did not succeed,
    and EXPIRED only for jobs that waited too long.
    """
    text = f"The job exceeded its time limit: it ran longer than the timeout of {seconds:g} seconds."
    return Outcome("failed", DEADLINE_EXCEEDED, text)
