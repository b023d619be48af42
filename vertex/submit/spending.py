"""What the jobs of a run have spent, by the service's own list: a crash forgets nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from ...core.job_fields import TIMEOUT, Strategy
from ...core.job_options import JobOptions
from ..client.calls import is_live, listed, patiently, seconds, state_of
from ..client.connection import Connection
from ..job_types import TERMINAL
from ..labels import REQUEST_LABEL, RUN_LABEL, SWEEP_LABEL
from ..pricing.cost_cap import BilledJob, capped_time_limit, reserved, spent
from ..pricing.cost_labels import max_cost_of, rate_of
from .attempt_budget import starts_of_a_job

if TYPE_CHECKING:
    from datetime import timedelta

    from google.cloud.aiplatform_v1 import CustomJob, Scheduling


def billed(job: CustomJob) -> BilledJob:
    """A job as a bill sees it; a tuning job as one whose time is that of all its trials."""
    if hasattr(job, "max_trial_count"):
        return _billed_trials(job)
    ended = seconds(job.end_time) or (seconds(job.update_time) if state_of(job) in TERMINAL else 0.0)
    scheduling = job.job_spec.scheduling
    return BilledJob(
        rate_of(job.labels), seconds(job.start_time), ended, _time_limit(scheduling), _starts_of(scheduling)
    )


def _billed_trials(job: Any) -> BilledJob:  # noqa: ANN401 - a tuning job where custom jobs are expected
    scheduling, rate = job.trial_job_spec.scheduling, rate_of(job.labels)
    if is_live(job):
        limit = job.max_trial_count * _time_limit(scheduling)
        return BilledJob(rate, seconds(job.start_time), 0.0, limit, _starts_of(scheduling))
    times = [(seconds(each.start_time), seconds(each.end_time)) for each in job.trials]
    total = sum(end - begin for begin, end in times if 0 < begin < end)
    return BilledJob(rate, 1.0, 1.0 + total)


def _time_limit(scheduling: Scheduling) -> float:
    limit = cast("timedelta | None", scheduling.timeout)  # proto-plus reads a Duration as that
    return limit.total_seconds() if limit else TIMEOUT.default


def _starts_of(scheduling: Scheduling) -> int:
    """How often Vertex AI may start the job."""
    strategy = cast("Strategy", scheduling.strategy.name)
    return starts_of_a_job(JobOptions(restarts="none" if scheduling.disable_retries else "replica", strategy=strategy))


def jobs_of_run(connection: Connection, labels: Mapping[str, str]) -> list[CustomJob]:
    """Every job of the run that a job with these labels belongs to, and of its request.

    The trials of a sweep are runs of their own, and share its cap. A retried run may have another image, and so another
    request; a flow that another one calls has another run.

    Raises:
        VertexError: The listing was refused, or got no answer (then transient).
    """
    values = {label: labels[label] for label in (SWEEP_LABEL, RUN_LABEL, REQUEST_LABEL) if labels.get(label)}
    found = {job.name: job for label, value in values.items() for job in listed(connection, value, label=label)}
    return list(found.values())


def keep_below_cap(
    connection: Connection,
    job: CustomJob,
    *,
    elsewhere: Sequence[Connection] = (),
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Shortens the time limit of a job that is about to be created, so that its run stays below its cap.

    Args:
        connection: Where the job will run.
        job: The job; its labels say its price and its run's cap. One without a cap is left alone.
        elsewhere: Connections to other regions in which the run may have jobs.
        clock: Seconds since 1970.
        sleep: Waits that many seconds.

    Raises:
        VertexError: Nothing is left of the cap, or the run's jobs can't be listed.
    """
    cap, rate = max_cost_of(job.labels), rate_of(job.labels)
    if cap is None or rate is None:
        return
    earlier = [
        found
        for each in (connection, *elsewhere)
        for found in patiently(lambda each=each: jobs_of_run(each, job.labels), each, clock=clock, sleep=sleep)
    ]
    new = billed(job)
    used = used_by(earlier, clock(), assumed_rate=rate)
    starts = new.starts * connection.jobs_in_one
    limit = capped_time_limit(rate, new.time_limit, cap=cap, used=used, starts=starts, where=job.display_name)
    if limit < new.time_limit:
        from google.protobuf.duration_pb2 import Duration

        job.job_spec.scheduling.timeout = Duration(seconds=int(limit))


def used_by(jobs: Sequence[CustomJob], now: float, *, assumed_rate: float) -> float:
    """What of a cap is gone, in USD: what jobs have cost, and what those that go on can still come to.

    A cap over several jobs at a time, such as those of a sweep, holds if each new job gets a time limit from
    `capped_time_limit` with this.

    Args:
        jobs: The jobs that share the cap.
        now: The time, in seconds since 1970.
        assumed_rate: The price of an hour of a job whose own isn't known.
    """
    live = [billed(job) for job in jobs if is_live(job)]
    over = [billed(job) for job in jobs if not is_live(job)]
    return reserved(live, now, assumed_rate=assumed_rate) + spent(over, now, assumed_rate=assumed_rate)
