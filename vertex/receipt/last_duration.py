"""How long the last succeeded job of a project on the same machines took, from the service's own list."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from ...core.errors import TrainingError
from ...core.job_options import JobOptions, Machine
from ..client.calls import seconds, state_of
from ..client.connection import Connection
from ..labels import RUN_LABEL
from .recorded_runs import jobs_with_label, project_of_job

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob

_JOBS = 500
"""Most jobs that are looked through."""

_PATIENCE = 10.0
"""Seconds for the whole search: it only informs."""


def last_duration(connection: Connection, project: str, job: JobOptions) -> float | None:
    """Seconds from start to end; None if there was no such job, or if the jobs can't be listed.

    Args:
        connection: Where the jobs ran.
        project: The project's name.
        job: The job whose duration is wanted: it has the same machines and strategy.
    """
    wanted = f'labels.{RUN_LABEL}:* AND state="JOB_STATE_SUCCEEDED"'
    try:
        for found in islice(jobs_with_label(connection.within(_PATIENCE), wanted), _JOBS):
            if _succeeded(found) and project_of_job(found) == project and _pools(found) == _pools_of(job):
                return max(0.0, seconds(found.end_time) - seconds(found.start_time))
    except TrainingError:
        return None
    return None


def _succeeded(job: CustomJob) -> bool:
    return state_of(job) == "JOB_STATE_SUCCEEDED" and bool(job.start_time and job.end_time)


def _pools(job: CustomJob) -> tuple[str, Sequence[tuple[str, str, int, int]]]:
    pools = [
        (
            pool.machine_spec.machine_type,
            pool.machine_spec.accelerator_type.name if pool.machine_spec.accelerator_count else "",
            pool.machine_spec.accelerator_count,
        )
        for pool in job.job_spec.worker_pool_specs
        for _ in range(int(pool.replica_count))
    ]
    return job.job_spec.scheduling.strategy.name, _counted(pools)


def _pools_of(job: JobOptions) -> tuple[str, Sequence[tuple[str, str, int, int]]]:
    machines = [job.machine] * job.replicas
    for pool in job.pools.values():
        machines += [pool.machine or job.machine] * pool.replicas
    return job.strategy, _counted([_plain(machine) for machine in machines])


def _plain(machine: Machine) -> tuple[str, str, int]:
    count = machine.accelerator_count
    return machine.machine_type, (machine.accelerator_type or "") if count else "", count


def _counted(machines: Sequence[tuple[str, str, int]]) -> Sequence[tuple[str, str, int, int]]:
    return sorted((*machine, machines.count(machine)) for machine in set(machines))
