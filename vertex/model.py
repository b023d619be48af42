"""What a training job is, before and after it ran: plain values, no I/O, no Google import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

State = Literal[
    "JOB_STATE_QUEUED",
    "JOB_STATE_PENDING",
    "JOB_STATE_RUNNING",
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLING",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_PAUSED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_UPDATING",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
    "JOB_STATE_UNSPECIFIED",
]

TERMINAL: frozenset[str] = frozenset(
    {
        "JOB_STATE_SUCCEEDED",
        "JOB_STATE_FAILED",
        "JOB_STATE_CANCELLED",
        "JOB_STATE_EXPIRED",
        "JOB_STATE_PARTIALLY_SUCCEEDED",
    }
)
"""States that never change again; the SDK forgets the last two and polls for ever."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One replica's hardware.

    Attributes:
        machine_type: As Compute Engine names it.
        accelerator_type: As "NVIDIA_L4"; None for none.
        accelerator_count: GPUs a replica.
        boot_disk_gb: Boot disk, GB.
    """

    machine_type: str = "n1-standard-4"
    accelerator_type: str | None = None
    accelerator_count: int = 0
    boot_disk_gb: int = 100


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One custom job as wanted.

    Attributes:
        display_name: What people see, at most 128 characters.
        image: By digest.
        output: `gs://BUCKET/PREFIX`; the model lands in `<output>/model/`.
        args: Replace the image's CMD; all together at most 100,000 characters.
        command: Replaces the image's ENTRYPOINT; empty keeps it.
        env: At most 100 variables.
        labels: Keys and values at most 63 characters: lowercase, digits, `_`, `-`.
        machine: Hardware of each replica.
        replicas: Of the primary pool and, above 1, a worker pool.
        timeout: Seconds until Vertex stops it.
        service_account: Runs the job; None for the project's default.
        network: VPC to peer with, full name.
    """

    display_name: str
    image: str
    output: str
    args: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    machine: Machine = field(default_factory=Machine)
    replicas: int = 1
    timeout: float = 7 * 24 * 3600.0
    service_account: str | None = None
    network: str | None = None


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """A job that exists.

    Attributes:
        name: `projects/NUMBER/locations/REGION/customJobs/ID`, as the service answered.
        state: When last seen.
        adopted: It was there before this call: found by its key, not created.
        console: Where a person can look at it; empty for local_vertex.
    """

    name: str
    state: State
    adopted: bool = False
    console: str = ""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the job wrote.

    Attributes:
        timestamp: Seconds since 1970.
        severity: As Cloud Logging names it; stderr arrives as ERROR even when harmless.
        message: Without its newline.
        task: "workerpool0-0", or "service" for the platform's own lines.
    """

    timestamp: float
    severity: str
    message: str
    task: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        state: Terminal.
        error: The service's own words; empty on success.
        diagnosis: One line for people: what happened, and whether trying again can help.
        retryable: Whether a new job could end otherwise.
        tail: The last lines the job wrote, oldest first.
        seconds: From start to end as the service tells it, never below 0.
    """

    name: str
    state: State
    error: str = ""
    diagnosis: str = ""
    retryable: bool = False
    tail: Sequence[str] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of the model; `path` is relative to the model's folder, `size` in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the job left behind.

    Attributes:
        model: The folder: a local path for local_vertex, `gs://...` in the cloud.
        files: Sorted by path, never empty.
    """

    model: str
    files: Sequence[ModelFile]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)
