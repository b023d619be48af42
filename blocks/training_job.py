"""A training job as a Prefect `JobBlock`: a thin face over `vertex/`, for people who compose their own flows."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from prefect.blocks.abstract import JobBlock, JobRun
from prefect.utilities.asyncutils import run_sync_in_worker_thread
from pydantic import Field

from ..core.errors import JobFailed, VertexError
from ..core.home import Home
from ..vertex.client.connection import Connection
from ..vertex.diagnosis import failure
from ..vertex.job_types import (
    DAY,
    TERMINAL,
    JobRequest,
    LogLine,
    Machine,
    Outcome,
    Pool,
    Receipt,
    Restarts,
    Role,
    State,
    Strategy,
)
from ..vertex.receipt.model_files import receipt
from ..vertex.submit import submission
from ..vertex.submit.attempt_budget import jobs_allowed
from ..vertex.submit.attempts import submit_attempt
from ..vertex.submit.intent import IntentFile
from ..vertex.watch.log_reader import Cursor
from ..vertex.watch.watch import watch
from .form_fields import Number, Plain, Text
from .prefect_private import async_dispatch, call_synchronously
from .vertex_ai import LOGO, VertexAI

T = TypeVar("T")


class VertexTrainingJobRun(JobRun[Receipt]):
    """One job, running or ended; made by `VertexTrainingJob.trigger` or found again by `from_job_name`.

    Attributes:
        name: `projects/NUMBER/locations/REGION/customJobs/ID`.
        adopted: It was there before: an earlier attempt had submitted it.
        outcome: How it ended; None until `wait_for_completion` has returned.
    """

    def __init__(self, connection: Connection, name: str, *, adopted: bool = False) -> None:
        self.connection = connection
        self.name = name
        self.adopted = adopted
        self.outcome: Outcome | None = None
        self._cursor = Cursor()

    @classmethod
    def from_job_name(cls, name: str, vertex_ai: VertexAI | None = None) -> VertexTrainingJobRun:
        """The run of a job that exists, from any process.

        Args:
            name: The job's full name.
            vertex_ai: Where it runs; None for local_vertex.

        Raises:
            VertexError: The name is not a custom job's.
        """
        if "/customJobs/" not in name:
            raise VertexError(
                "not a custom job's name",
                where=name,
                next_step="Write it as projects/PROJECT/locations/REGION/customJobs/ID",
            )
        return cls(_connection(vertex_ai), name)

    async def await_for_completion(self) -> None:
        """As `wait_for_completion`."""
        await _in_thread(self.wait_for_completion)

    @async_dispatch(await_for_completion)
    def wait_for_completion(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Follows the job to its end, its log lines into this run's log.

        Raises:
            JobFailed: It ended without success; the message says why.
            VertexError: It can't be followed; transient when no answer came.
        """
        self.outcome = watch(
            self.connection, self.name, on_state=self._log_state, on_line=self._log_line, cursor=self._cursor
        )
        self.name = self.outcome.name
        if self.outcome.state != "JOB_STATE_SUCCEEDED":
            error = failure(self.outcome)
            raise error.replace(transient=error.retryable)  # a retry triggers again

    async def afetch_result(self) -> Receipt:
        """As `fetch_result`."""
        return await _in_thread(self.fetch_result)

    @async_dispatch(afetch_result)
    def fetch_result(self) -> Receipt:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The model that the job left: its folder and every file's checksum.

        Raises:
            VertexError: The job has not ended.
            JobFailed: It ended without success.
            ModelMissing: It left no model.
        """
        job = submission.look_up(self.connection, self.name)
        if job.state not in TERMINAL:
            raise VertexError(
                f"the job has not ended: {job.state}", where=self.name, next_step="Call wait_for_completion first"
            )
        if job.state != "JOB_STATE_SUCCEEDED":
            raise JobFailed(f"the job ended as {job.state} and has no model", where=self.name, next_step="Read its log")
        return receipt(self.connection, job.output, since=job.created)

    async def acancel(self) -> State:
        """As `cancel`."""
        return await _in_thread(self.cancel)

    @async_dispatch(acancel)
    def cancel(self) -> State:
        """Ends the job and waits until it has ended; the state it ended in.

        Raises:
            VertexError: It can't be cancelled, or lives on for two minutes (then transient).
        """
        return submission.cancel(self.connection, self.name)

    def _log_state(self, state: State) -> None:
        self.logger.info("%s is %s", self.name, state)

    def _log_line(self, line: LogLine) -> None:
        # stderr arrives as ERROR even when harmless, so severity never decides a level here.
        self.logger.info("%s | %s", line.task, line.message)


if TYPE_CHECKING:
    _ReceiptJob = JobBlock[Receipt]
else:
    _ReceiptJob = JobBlock  # Prefect would list JobBlock[Receipt] as a type of block of its own


class VertexTrainingJob(_ReceiptJob):
    """A training job on Vertex AI, or on this machine, to trigger from any flow.

    Example:
        Load a saved job, run it and look at its model:
        ```python
        from prefect_vertex_training.blocks.training_job import VertexTrainingJob

        job = VertexTrainingJob.load("BLOCK_NAME")
        run = job.trigger()
        run.wait_for_completion()
        model = run.fetch_result()
        ```
    """

    _block_type_name = "Vertex AI Training Job"
    _block_type_slug = "vertex-ai-training-job"
    _logo_url = LOGO  # pyright: ignore[reportAssignmentType]
    _documentation_url = "https://cloud.google.com/vertex-ai/docs/training/create-custom-job"  # pyright: ignore[reportAssignmentType]

    vertex_ai: Annotated[VertexAI | None, Plain()] = Field(
        default=None, title="Vertex AI", description="Where it runs; without one on this machine."
    )
    display_name: str = Field(default="training", title="Name", description="What people see in the console.")
    image: str = Field(
        title="Image", description="The image by digest, as europe-docker.pkg.dev/PROJECT/REPO/NAME@sha256:...."
    )
    args: list[str] = Field(
        default_factory=list, title="Arguments", description="Of the training script, one word a line."
    )
    command: list[str] = Field(
        default_factory=list, title="Command", description="Replaces the image's entry point, one word a line."
    )
    env: dict[str, str] = Field(
        default_factory=dict, title="Environment", description='Variables, as JSON: {"NAME": "value"}.'
    )
    labels: dict[str, str] = Field(
        default_factory=dict, title="Labels", description='Of the job, lowercase, as JSON: {"cost-centre": "4711"}.'
    )
    machine_type: str = Field(
        default="n1-standard-4",
        title="Machine type",
        description="The machine of each replica, as Compute Engine names it.",
    )
    accelerator_type: Text = Field(default=None, title="Accelerator", description="A GPU such as NVIDIA_L4.")
    accelerator_count: int = Field(default=0, ge=0, title="Accelerators a replica", description="GPUs of each replica.")
    boot_disk_gb: int = Field(
        default=100, ge=100, title="Boot disk, GB", description="The boot disk of each replica, in GB."
    )
    boot_disk_type: Text = Field(
        default=None, title="Boot disk type", description="A disk such as pd-ssd; without one the machine's own."
    )
    tpu_topology: Text = Field(default=None, title="TPU topology", description="For machines with TPUs, such as 2x2.")
    replicas: int = Field(
        default=1,
        ge=1,
        title="Replicas",
        description="How many machines work on it: one primary, the others workers.",
    )
    pools: dict[Role, Pool] = Field(
        default_factory=dict,
        title="Further pools",
        description='Of machines, by what they do, as JSON: {"evaluator": {"replicas": 1}}.',
    )
    timeout: float = Field(
        default=DAY, gt=0, title="Time limit, seconds", description="Seconds until the job is stopped."
    )
    strategy: Strategy = Field(
        default="STANDARD",
        title="Strategy",
        description="SPOT is cheaper and may be taken away; FLEX_START waits until there is a machine.",
    )
    max_wait: Annotated[Number, Field(ge=0)] = Field(
        default=None,
        title="Longest wait, seconds",
        description="How long FLEX_START may wait for machines; 0 waits for ever; a day without.",
    )
    restarts: Restarts = Field(
        default="none",
        title="Restarts",
        description="What Vertex AI starts again by itself: nothing, a replica, or the whole job.",
    )
    attempts: int = Field(
        default=3, ge=1, title="Attempts", description="How often the program may be started, whoever retries."
    )
    web_access: bool = Field(
        default=False, title="Web access", description="A shell in the running containers, from the console."
    )
    output: Text = Field(
        default=None,
        title="Output",
        description="Where it writes, as gs://BUCKET/FOLDER; without it a new folder in the bucket.",
    )

    async def atrigger(self, key: str | None = None) -> VertexTrainingJobRun:
        """As `trigger`."""
        return await _in_thread(self.trigger, key)

    @async_dispatch(atrigger)
    def trigger(self, key: str | None = None) -> VertexTrainingJobRun:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Submits the job, or finds the one that an earlier attempt of this flow run submitted.

        After a failure of the platform's it submits another one, up to `attempts` in all. A job that failed by itself
        is found again, and not paid for twice.

        Args:
            key: What tells this job from others, from `submission.job_key`. Without one it is made of the flow run and
                this block's fields: the same block triggered twice in one flow run is one job. Outside a flow run every
                call is a new job.

        Raises:
            VertexError: The job was refused, or no answer came (then transient).
        """
        connection = _connection(self.vertex_ai)
        chosen = key or submission.job_key(_flow_run_id(), self.model_dump_json(exclude={"vertex_ai"}))
        intents = Home.default().cache / "intents"
        request = self._request(connection, chosen)
        job = submit_attempt(
            connection,
            request,
            chosen,
            allowed=jobs_allowed(request, self.attempts),
            intent=lambda name: IntentFile(intents, name),
        )
        self.logger.info("%s %s %s", "Found" if job.adopted else "Submitted", job.name, job.console)
        return VertexTrainingJobRun(connection, job.name, adopted=job.adopted)

    def _request(self, connection: Connection, key: str) -> JobRequest:
        place = self.vertex_ai
        return JobRequest(
            display_name=self.display_name,
            image=self.image,
            output=self.output or f"gs://{connection.bucket}/training/{key}",
            args=self.args,
            command=self.command,
            env=self.env,
            labels={**(place.labels if place else {}), **self.labels},
            machine=Machine(**{field.name: getattr(self, field.name) for field in fields(Machine)}),
            replicas=self.replicas,
            pools=self.pools,
            timeout=self.timeout,
            strategy=self.strategy,
            max_wait=self.max_wait,
            restarts=self.restarts,
            web_access=self.web_access,
            service_account=place.service_account if place else None,
            network=place.network if place else None,
            tensorboard=place.tensorboard if place else None,
            persistent_resource=place.persistent_resource if place else None,
        )


def _connection(vertex_ai: VertexAI | None) -> Connection:
    return vertex_ai.connection() if vertex_ai else Connection.local(Home.default())


def _flow_run_id() -> str:
    """The same on every attempt of one flow run; new on every call outside of one."""
    from prefect.runtime import flow_run

    return str(flow_run.id or uuid.uuid4())


async def _in_thread(method: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - passes anything through
    return await run_sync_in_worker_thread(call_synchronously, method, *args)
