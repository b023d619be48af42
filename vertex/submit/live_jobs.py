"""Lists the jobs that carry a label and have not ended, whoever created them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..client.calls import list_jobs, seconds, state_of
from ..client.connection import Connection
from ..job_types import TERMINAL, State

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import CustomJob


@dataclass(frozen=True, slots=True)
class LabelledJob:
    """A live job.

    Attributes:
        name: Full name.
        value: Value of the label.
        title: Display name.
        state: State when it was listed.
        created: Time of creation, seconds since 1970.
        machine: Replicas of every pool, for example "1 x a2-highgpu-1g + 1 NVIDIA_TESLA_A100".
        console: Address of its page in the console; empty for local_vertex.
    """

    name: str
    value: str
    title: str
    state: State
    created: float
    machine: str
    console: str


def live_jobs(connection: Connection, label: str) -> list[LabelledJob]:
    """Every job with this label that has not ended, oldest first.

    Raises:
        VertexError: The listing was refused.
        VertexUnavailable, LocalServiceError: No answer.
    """
    ended = " AND ".join(f'state!="JOB_STATE_{name}"' for name in ("SUCCEEDED", "FAILED", "CANCELLED"))
    jobs, _ = list_jobs(connection, f"(labels.{label}:*) AND ({ended})")
    # Checked again here: if the service ignored the filter, other people's jobs would be cancelled.
    found = [job for job in jobs if label in job.labels and state_of(job) not in TERMINAL]
    return sorted((_labelled(connection, job, label) for job in found), key=lambda job: (job.created, job.name))


def _labelled(connection: Connection, job: CustomJob, label: str) -> LabelledJob:
    return LabelledJob(
        name=job.name,
        value=job.labels[label],
        title=job.display_name,
        state=state_of(job),
        created=seconds(job.create_time),
        machine=_machines(job),
        console=connection.console(job.name),
    )


def _machines(job: CustomJob) -> str:
    pools = []
    for pool in job.job_spec.worker_pool_specs:
        machine = pool.machine_spec
        gpus = f" + {machine.accelerator_count} {machine.accelerator_type.name}" if machine.accelerator_count else ""
        pools.append(f"{pool.replica_count} x {machine.machine_type}{gpus}")
    return ", ".join(pools)
