"""Plain values that describe a training job before and after it ran; no I/O, no Google import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..core.job_options import JobOptions
from ..core.security.secret_sources import SecretSource

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
"""States that never change again. Google's SDK forgets the last two and polls for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDescription(JobOptions):
    """A custom job without its image: all that can be checked before the image is built.

    Attributes:
        display_name: At most 128 characters.
        output: `gs://BUCKET/PREFIX`; the model is saved in `<output>/model/`.
        args: Replace the image's CMD; all together at most 100,000 characters.
        command: Replaces the image's ENTRYPOINT; empty keeps it.
        env: At most 100 variables, including those that `core.output_folders` adds.
        secret_env: Variables whose values are read when the job is submitted, and where they come from.
    """

    display_name: str
    output: str
    args: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, SecretSource] = field(default_factory=dict)

    def with_image(self, image: str) -> JobRequest:
        """The request to run this job with an image, named by digest."""
        return JobRequest(image=image, **{part.name: getattr(self, part.name) for part in fields(JobDescription)})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest(JobDescription):
    """One custom job as it is sent to Vertex AI.

    Attributes:
        image: Named by digest.
    """

    image: str


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """A job that exists.

    Attributes:
        name: `projects/NUMBER/locations/REGION/customJobs/ID`, as the service answered.
        state: The state that was read last.
        adopted: True for a job that existed before this call: it was found by its key, not created.
        console: Address of its page in the console; empty for local_vertex.
        created: Time of creation, seconds since 1970; 0 when unknown.
        attempt: Number of this attempt at its request, from 1; after a person's retry it begins again at 1. 0 for a job
            that was created before that retry.
        allowed: How many attempts there may be, counted in the same way.
        retry: How often a person had retried the flow run.
        failed: How many other jobs of the request have failed so far; each was paid for.
        cancelled: How many other jobs of the request were cancelled so far; each was paid for until then.
    """

    name: str
    state: State
    adopted: bool = False
    console: str = ""
    created: float = 0.0
    attempt: int = 1
    allowed: int = 1
    retry: int = 0
    failed: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the job wrote.

    Attributes:
        timestamp: Seconds since 1970.
        severity: Cloud Logging's severity; lines of stderr have ERROR even when they are harmless.
        message: The text without its newline.
        task: The replica, such as "workerpool0-0", or "service" for the platform's own lines.
        fields: Everything in a line that is JSON.
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
    "out_of_disk",
    "preempted",
    "time_limit",
    "cancelled",
    "internal",
    "invalid_request",
    "cost_cap",
    "waited",
    "superseded",
    "unknown",
]
"""Kinds of failure, of a job or of an API call for one; `waited` and `superseded` are of jobs with a fall-back list."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a job ended without success.

    Attributes:
        kind: Kind of failure.
        sentence: What happened, in one line without a full stop.
        next_step: The one thing to do next, in one line without a full stop.
        retryable: Whether a new job of the same request could end otherwise.
    """

    kind: Kind
    sentence: str
    next_step: str
    retryable: bool

    def __str__(self) -> str:
        return f"{self.sentence}. {self.next_step}"


@dataclass(frozen=True, slots=True)
class Metric:
    """What a training script printed of one number.

    Attributes:
        last: The newest value.
        lowest: The smallest value.
        highest: The largest value.
    """

    last: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        state: A terminal state.
        error: The service's error message; empty on success.
        diagnosis: Why it failed; None on success.
        tail: The last lines that the job wrote, oldest first.
        seconds: Time from start to end by the service's clock, never below 0.
        metrics: The numbers in the log's JSON lines, by name; empty where nobody has read them.
    """

    name: str
    state: State
    error: str = ""
    diagnosis: Diagnosis | None = None
    tail: Sequence[str] = ()
    seconds: float = 0.0
    metrics: Mapping[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a model was trained from, beyond what the job itself says.

    Attributes:
        fingerprint: Fingerprint of the code and of the settings that shape the image.
        commit: The code's git commit; empty outside of git.
        requirements: SHA-256 of the frozen dependencies.
        flow_run: Id of the Prefect flow run.
        verified: Whether the code ran locally before the job.
        data: The data sets: name, ID, number of files, bytes and URI of each.
    """

    fingerprint: str = ""
    commit: str = ""
    requirements: str = ""
    flow_run: str = ""
    verified: bool = True
    data: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of the model.

    Attributes:
        path: Relative to the model's folder.
        size: Size in bytes.
        sha256: SHA-256 of its content, hexadecimal.
        updated: Time of the last write, seconds since 1970.
    """

    path: str
    size: int
    sha256: str
    updated: float = 0.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """The model that a job saved, file by file.

    Attributes:
        model: The model's folder: a local path for local_vertex, `gs://...` in the cloud.
        files: The model's files sorted by path, never empty.
        document: Path or URI of the receipt document; empty when none was written.
    """

    model: str
    files: Sequence[ModelFile]
    document: str = ""

    @property
    def size(self) -> int:
        """Size of all files together, in bytes."""
        return sum(file.size for file in self.files)
