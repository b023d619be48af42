"""What a training job is, before and after it ran: plain values, no I/O, no Google import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

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


DAY = 24 * 3600.0

Strategy = Literal["STANDARD", "SPOT", "FLEX_START"]
"""How Vertex AI finds the machines; the numbers 1 and 2 of its enum are deprecated."""

Restarts = Literal["none", "replica", "job"]
"""What Vertex AI itself starts again: nothing, a replica that was lost, or the whole job with it."""

Role = Literal["worker", "server", "evaluator"]
"""What a further pool does; `server` is a parameter server or a reduction server."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One replica's hardware.

    Attributes:
        machine_type: As Compute Engine names it.
        accelerator_type: As "NVIDIA_L4"; None for none.
        accelerator_count: GPUs a replica.
        boot_disk_gb: Boot disk, GB.
        boot_disk_type: "pd-ssd", "pd-standard" or "hyperdisk-balanced"; None for the machine's default.
        tpu_topology: As "2x2", for machines with TPUs; None for none.
    """

    machine_type: str = "n1-standard-4"
    accelerator_type: str | None = None
    accelerator_count: int = 0
    boot_disk_gb: int = 100
    boot_disk_type: str | None = None
    tpu_topology: str | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of replicas beside the primary one.

    Attributes:
        machine: Hardware of each replica; None for the primary's.
        replicas: How many.
        image: None for the job's own, with its command, arguments and variables; another image starts by itself.
    """

    machine: Machine | None = None
    replicas: int = 1
    image: str | None = None


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One custom job as wanted.

    Attributes:
        display_name: What people see, at most 128 characters.
        image: By digest.
        output: `gs://BUCKET/PREFIX`; the model lands in `<output>/model/`.
        args: Replace the image's CMD; all together at most 100,000 characters.
        command: Replaces the image's ENTRYPOINT; empty keeps it.
        env: At most 100 variables, ours included (`spec.folders`).
        labels: Keys and values at most 63 characters: lowercase, digits, `_`, `-`.
        machine: Hardware of each replica.
        replicas: Of the primary pool and, above 1, a worker pool.
        pools: Further pools; a worker pool of its own instead of `replicas`.
        timeout: Seconds until Vertex stops it.
        strategy: How the machines are found.
        max_wait: Seconds that FLEX_START may wait for machines, 0 for ever; None for Vertex AI's 24 hours.
        restarts: What Vertex AI starts again by itself.
        service_account: Runs the job; None for the project's default.
        network: VPC to peer with, full name.
        tensorboard: `projects/P/locations/R/tensorboards/ID`; needs a service account.
        web_access: A shell in the running containers, from the console.
        persistent_resource: Runs on these machines, which are kept; None for new ones.
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
    pools: Mapping[Role, Pool] = field(default_factory=dict)
    timeout: float = DAY
    strategy: Strategy = "STANDARD"
    max_wait: float | None = None
    restarts: Restarts = "none"
    service_account: str | None = None
    network: str | None = None
    tensorboard: str | None = None
    web_access: bool = False
    persistent_resource: str | None = None


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """A job that exists.

    Attributes:
        name: `projects/NUMBER/locations/REGION/customJobs/ID`, as the service answered.
        state: When last seen.
        adopted: It was there before this call: found by its key, not created.
        console: Where a person can look at it; empty for local_vertex.
        created: When, seconds since 1970; 0 when unknown.
        attempt: Which one of its request's, from 1.
    """

    name: str
    state: State
    adopted: bool = False
    console: str = ""
    created: float = 0.0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the job wrote.

    Attributes:
        timestamp: Seconds since 1970.
        severity: As Cloud Logging names it; stderr arrives as ERROR even when harmless.
        message: Without its newline.
        task: "workerpool0-0", or "service" for the platform's own lines.
        fields: Of a line in JSON, all that it holds.
    """

    timestamp: float
    severity: str
    message: str
    task: str
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)


Kind = Literal[
    "user_code",
    "quota",
    "stock_out",
    "image_pull",
    "permission",
    "out_of_memory",
    "preempted",
    "time_limit",
    "cancelled",
    "internal",
    "invalid_request",
    "unknown",
]
"""Why a job, or a call for one, failed."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a job ended without success.

    Attributes:
        kind: Of failure.
        sentence: What happened, one line without a full stop.
        next_step: The one thing to do next; as the sentence.
        retryable: Whether a new job of the same request could end otherwise.
    """

    kind: Kind
    sentence: str
    next_step: str
    retryable: bool

    def __str__(self) -> str:
        return f"{self.sentence}. {self.next_step}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        state: Terminal.
        error: The service's own words; empty on success.
        diagnosis: Why it failed; None on success.
        tail: The last lines the job wrote, oldest first.
        seconds: From start to end as the service tells it, never below 0.
    """

    name: str
    state: State
    error: str = ""
    diagnosis: Diagnosis | None = None
    tail: Sequence[str] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Origin:
    """What was trained, as far as the job itself doesn't tell.

    Attributes:
        fingerprint: Of the code and the settings that shape the image.
        commit: The code's, in git; empty without.
        requirements: sha256 of the frozen dependencies.
        flow_run: Prefect's id of the run.
    """

    fingerprint: str = ""
    commit: str = ""
    requirements: str = ""
    flow_run: str = ""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of the model.

    Attributes:
        path: Relative to the model's folder.
        size: Bytes.
        sha256: Of its content.
        updated: When it was last written, seconds since 1970.
    """

    path: str
    size: int
    sha256: str
    updated: float = 0.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the job left behind.

    Attributes:
        model: The folder: a local path for local_vertex, `gs://...` in the cloud.
        files: Sorted by path, never empty.
        document: Where the receipt itself was written; empty where it wasn't.
    """

    model: str
    files: Sequence[ModelFile]
    document: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)
