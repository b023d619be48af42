"""A training job as a Prefect `JobBlock`, for people who compose their own flows; `vertex/` does the work."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from prefect.blocks.abstract import JobBlock, JobRun
from prefect.utilities.asyncutils import run_sync_in_worker_thread
from pydantic import Field, model_validator

from ..core.errors import JobFailed, ProjectError, VertexError
from ..core.home import Home
from ..core.job_fields import (
    ACCELERATOR_COUNT,
    ACCELERATOR_TYPE,
    ALLOWED_REGIONS,
    ARGS,
    ATTEMPTS,
    BOOT_DISK_GB,
    BOOT_DISK_TYPE,
    COMMAND,
    DISPLAY_NAME,
    ENV,
    FALLBACK,
    FALLBACK_BUCKET,
    FALLBACK_ROUNDS,
    IGNORE_REGIONS,
    IMAGE,
    LABELS,
    MACHINE_TYPE,
    MAX_COST,
    MAX_WAIT,
    OUTPUT,
    POOLS,
    REPLICAS,
    RESERVATION,
    RESTARTS,
    SECRET_ENV,
    STRATEGY,
    TIMEOUT,
    TPU_TOPOLOGY,
    WAIT,
    WEB_ACCESS,
    Restarts,
    Role,
    Strategy,
)
from ..core.job_options import Machine, Pool
from ..core.output_folders import bucket_folder_uri
from ..core.security.secret_sources import SecretSource
from ..prefect_private import async_dispatch, call_synchronously
from ..run_history import run_scope
from ..secret_values import with_secret_values
from ..vertex.client.connection import Connection
from ..vertex.diagnosis import failure
from ..vertex.fallback.listed_job import ListedJob
from ..vertex.job_types import TERMINAL, JobRequest, LogLine, Outcome, Receipt, State, SubmittedJob
from ..vertex.pricing.cost_labels import cost_labels
from ..vertex.pricing.estimate import CostEstimate
from ..vertex.pricing.google_catalog import current_prices
from ..vertex.pricing.hourly_rate import hourly_rate
from ..vertex.pricing.price_list import PriceList, built_in_prices
from ..vertex.receipt.model_files import list_model
from ..vertex.submit.attempt_budget import jobs_allowed
from ..vertex.submit.attempts import submit_attempt
from ..vertex.submit.cancellation import cancel
from ..vertex.submit.intent import IntentFile
from ..vertex.submit.submission import job_key, look_up
from ..vertex.watch.log_reader import Cursor
from ..vertex.watch.watch import watch
from .block_places import list_of, listed_job
from .form_fields import Number, Plain, Text
from .vertex_ai import LOGO, VertexAI

T = TypeVar("T")

LINES_A_RECORD = 100
"""Most lines of a job in one record of a run's log."""


class VertexTrainingJobRun(JobRun[Receipt]):
    """One job, running or ended; made by `VertexTrainingJob.trigger` or found again by `from_job_name`.

    Attributes:
        name: `projects/NUMBER/locations/REGION/customJobs/ID`.
        adopted: True when an earlier attempt had submitted the job, and this one found it.
        outcome: How the job ended; None until `wait_for_completion` has returned.

    With a fall-back list, `connection` and `name` are those of the job that counts now.
    """

    def __init__(
        self, connection: Connection, name: str, *, adopted: bool = False, listed: ListedJob | None = None
    ) -> None:
        self._listed = listed
        self.connection = connection
        self.name = name
        self.adopted = adopted
        self.outcome: Outcome | None = None
        self._cursor = Cursor()

    @classmethod
    def from_job_name(cls, name: str, vertex_ai: VertexAI | None = None) -> VertexTrainingJobRun:
        """Returns the run of an existing job, from any process.

        Args:
            name: The job's full name.
            vertex_ai: Where the job runs; None for local_vertex.

        Raises:
            VertexError: The name is not that of a custom job.
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
        """Waits until the job has ended, and writes its log lines into this run's log.

        Raises:
            JobFailed: The job ended without success; the message says why.
            VertexError: The job can't be watched; transient when no answer came.
        """
        if self._listed is None:
            self._watch()
        else:
            self._listed.follow(self._listed.place, self._watch_listed, self.logger.warning)

    def _watch_listed(self, job: SubmittedJob) -> None:
        """Watches a job of the list, in whichever region it is, until it has ended or counts no more."""
        assert self._listed is not None
        if job.name != self.name:
            self.connection, self.name, self._cursor = self._listed.regions.connection_of(job.name), job.name, Cursor()
            self.logger.info("Submitted %s %s", job.name, job.console)
        try:
            self._watch(self._listed.supervision())
        except JobFailed as error:
            raise error.replace(transient=False) from error  # the list itself decides what follows

    def _watch(self, leave: Leave | None = None) -> None:
        self.outcome = watch(
            self.connection,
            self.name,
            on_state=self._log_state,
            on_lines=self._log_lines,
            cursor=self._cursor,
            leave=leave,
        )
        self.name = self.outcome.name
        if self.outcome.state != "JOB_STATE_SUCCEEDED":
            error = failure(self.outcome)
            raise error.replace(transient=error.retryable)  # a retry of the caller triggers a new job

    async def afetch_result(self) -> Receipt:
        """As `fetch_result`."""
        return await _in_thread(self.fetch_result)

    @async_dispatch(afetch_result)
    def fetch_result(self) -> Receipt:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Returns the model that the job saved: its folder, and every file with its checksum.

        Raises:
            VertexError: The job has not ended.
            JobFailed: The job ended without success.
            ModelMissing: The job saved no model.
        """
        job = look_up(self.connection, self.name)
        if job.state not in TERMINAL:
            raise VertexError(
                f"the job has not ended: {job.state}", where=self.name, next_step="Call wait_for_completion first"
            )
        if job.state != "JOB_STATE_SUCCEEDED":
            raise JobFailed(f"the job ended as {job.state} and has no model", where=self.name, next_step="Read its log")
        return list_model(self.connection, job.output, since=job.created)

    async def acancel(self) -> State:
        """As `cancel`."""
        return await _in_thread(self.cancel)

    @async_dispatch(acancel)
    def cancel(self) -> State:
        """Cancels the job, waits until it has ended, and returns the state in which it ended.

        Raises:
            VertexError: The job can't be cancelled, or still runs after two minutes (then transient).
        """
        return cancel(self.connection, self.name)

    def _log_state(self, state: State) -> None:
        self.logger.info("%s is %s", self.name, state)

    def _log_lines(self, lines: Sequence[LogLine]) -> None:
        # Lines of stderr have severity ERROR even when they are harmless, so severity doesn't decide the level here.
        # Records of many lines, since Prefect's server takes a few hundred records a second.
        for first in range(0, len(lines), LINES_A_RECORD):
            part = lines[first : first + LINES_A_RECORD]
            self.logger.info("%s", "\n".join(f"{line.task} | {line.message}" for line in part))


_LIST_FIELDS = frozenset({"fallback", "allowed_regions", "wait", "fallback_rounds", "fallback_bucket"})
"""The fields of the fall-back list; without one they mean nothing."""

if TYPE_CHECKING:
    from ..vertex.watch.watch import Leave

    _ReceiptJob = JobBlock[Receipt]
else:
    _ReceiptJob = JobBlock  # Prefect would list JobBlock[Receipt] as a type of block of its own


class VertexTrainingJob(_ReceiptJob):
    """A training job on Vertex AI or on this machine, which any flow can trigger.

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
        default=None, title="Vertex AI", description="Where the job runs. Default: on this machine."
    )
    display_name: str = Field(default=DISPLAY_NAME.default, **DISPLAY_NAME.form)
    image: str = Field(**IMAGE.form)
    args: list[str] = Field(default_factory=list, **ARGS.form)
    command: list[str] = Field(default_factory=list, **COMMAND.form)
    env: dict[str, str] = Field(default_factory=dict, **ENV.form)
    secret_env: dict[str, str] = Field(default_factory=dict, **SECRET_ENV.form)
    labels: dict[str, str] = Field(default_factory=dict, **LABELS.form)
    machine_type: str = Field(default=MACHINE_TYPE.default, **MACHINE_TYPE.form)
    accelerator_type: Text = Field(default=ACCELERATOR_TYPE.default, **ACCELERATOR_TYPE.form)
    accelerator_count: int = Field(default=ACCELERATOR_COUNT.default, **ACCELERATOR_COUNT.form)
    boot_disk_gb: int = Field(default=BOOT_DISK_GB.default, **BOOT_DISK_GB.form)
    boot_disk_type: Text = Field(default=BOOT_DISK_TYPE.default, **BOOT_DISK_TYPE.form)
    tpu_topology: Text = Field(default=TPU_TOPOLOGY.default, **TPU_TOPOLOGY.form)
    reservation: Text = Field(default=RESERVATION.default, **RESERVATION.form)
    replicas: int = Field(default=REPLICAS.default, **REPLICAS.form)
    pools: dict[Role, Pool] = Field(default_factory=dict, **POOLS.form)
    timeout: float = Field(default=TIMEOUT.default, **TIMEOUT.form)
    strategy: Strategy = Field(default=STRATEGY.default, **STRATEGY.form)
    max_wait: Number = Field(default=MAX_WAIT.default, **MAX_WAIT.form)
    restarts: Restarts = Field(default=RESTARTS.default, **RESTARTS.form)
    attempts: int = Field(default=ATTEMPTS.default, **ATTEMPTS.form)
    max_cost: Number = Field(default=MAX_COST.default, **MAX_COST.form)
    fallback: list[str] = Field(default_factory=list, **FALLBACK.form)
    allowed_regions: list[str] = Field(default_factory=list, **ALLOWED_REGIONS.form)
    ignore_regions: list[str] = Field(default_factory=list, **IGNORE_REGIONS.form)
    wait: Number = Field(default=WAIT.default, **WAIT.form)
    fallback_rounds: int = Field(default=FALLBACK_ROUNDS.default, **FALLBACK_ROUNDS.form)
    fallback_bucket: Text = Field(default=FALLBACK_BUCKET.default, **FALLBACK_BUCKET.form)
    web_access: bool = Field(default=WEB_ACCESS.default, **WEB_ACCESS.form)
    output: Text = Field(default=OUTPUT.default, **OUTPUT.form)
    allow_secrets: list[str] = Field(
        default_factory=list,
        title="Allowed findings",
        description="Entries for arguments and variables that look like secrets and are none, one a line, as the "
        "message about them names it.",
        examples=[["args#0123456789ab"]],
    )

    @model_validator(mode="after")
    def _refuse_secrets(self) -> VertexTrainingJob:
        # Not a ValueError: pydantic would show the block's fields, and so the secret, in its message.
        from ..project.run_secrets import refuse_secrets_of_job

        refuse_secrets_of_job(args=self.args, command=self.command, env=self.env, allow_secrets=self.allow_secrets)
        _ = self._secret_sources()
        list_of(self)
        return self

    def _secret_sources(self) -> dict[str, SecretSource]:
        """Where each secret variable comes from.

        Raises:
            ProjectError: One has no such form, or its name is not one of a variable, or has a plain value as well.
        """
        sources: dict[str, SecretSource] = {}
        for name, text in self.secret_env.items():
            where = f"secret_env of the job block, {name}"
            if name in self.env or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                what = "is in env as well" if name in self.env else "is not a variable's name"
                raise ProjectError(f"the secret variable {name} {what}", where=where, next_step="Leave one of them out")
            try:
                sources[name] = SecretSource.parse(text)
            except ValueError as error:  # whose message doesn't repeat what may be the secret itself
                raise ProjectError(str(error), where=where, next_step="Save the value, and name its place") from None
        return sources

    async def atrigger(self, key: str | None = None) -> VertexTrainingJobRun:
        """As `trigger`."""
        return await _in_thread(self.trigger, key)

    @async_dispatch(atrigger)
    def trigger(self, key: str | None = None) -> VertexTrainingJobRun:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Submits the job, or finds the one that an earlier attempt of this flow run submitted.

        When a job failed because of the platform, the next call submits another one, up to `attempts` in all. A job
        whose own program failed is found again and not paid for twice, until a person retries the flow run.

        Args:
            key: Identifies this job, from `vertex.submit.submission.job_key`. Default: a key of the flow run and this
                block's fields, so that the same block triggered twice in one flow run is one job. Outside of a flow
                run every call submits a new job.

        Raises:
            VertexError: The job was refused, or no answer came (then transient).
        """
        connection = _connection(self.vertex_ai)
        inputs = self._text_for_key()
        scope = run_scope(inputs)
        chosen = key or job_key(scope.key, inputs)
        if list_of(self).is_set:
            return self._trigger_listed(connection, chosen, scope.retries)
        intents = Home.default().cache / "intents"
        request = self._request(connection, chosen)
        job = submit_attempt(
            connection,
            request,
            chosen,
            allowed=jobs_allowed(request, self.attempts),
            retry=scope.retries,
            intent=lambda name: IntentFile(intents, name),
        )
        self.logger.info("%s %s %s", "Found" if job.adopted else "Submitted", job.name, job.console)
        return VertexTrainingJobRun(connection, job.name, adopted=job.adopted)

    def _trigger_listed(self, connection: Connection, key: str, retry: int) -> VertexTrainingJobRun:
        """As `trigger`, at the first place of the list that takes the job."""
        listed = listed_job(
            self,
            connection,
            key,
            retry=retry,
            request=lambda block, there: block._request(there, key),  # noqa: SLF001 - a copy of this block
            notice=self.logger.info,
        )
        job = listed.place()
        self.logger.info("%s %s %s", "Found" if job.adopted else "Submitted", job.name, job.console)
        there = listed.regions.connection_of(job.name)
        return VertexTrainingJobRun(there, job.name, adopted=job.adopted, listed=listed)

    def _text_for_key(self) -> str:
        """The block as JSON. Fields of later versions stand in it only if they are set: other keys are as they were.

        With another cap it is still the same job, which has used up a part of it.
        """
        later = {"secret_env", *_LIST_FIELDS}
        unset = {name for name in later if not getattr(self, name) or not (self.fallback or name == "secret_env")}
        none = {"vertex_ai", "max_cost", "allow_secrets", "ignore_regions"}
        values = self.model_dump(mode="json", exclude=none | unset)
        machines = [pool["machine"] for pool in values["pools"].values() if pool["machine"]]
        for part in (values, *machines):
            if part["reservation"] is None:
                del part["reservation"]
        return json.dumps(values, separators=(",", ":"), ensure_ascii=False)

    def _request(self, connection: Connection, key: str) -> JobRequest:
        vertex = self.vertex_ai
        request = JobRequest(
            display_name=self.display_name,
            image=self.image,
            output=self.output or bucket_folder_uri(connection.bucket, "training", key),
            args=self.args,
            command=self.command,
            env=self.env,
            secret_env=self._secret_sources(),
            labels={**(vertex.labels if vertex else {}), **self.labels},
            machine=Machine(**{part.name: getattr(self, part.name) for part in fields(Machine)}),
            replicas=self.replicas,
            pools=self.pools,
            timeout=self.timeout,
            strategy=self.strategy,
            max_wait=self.max_wait,
            restarts=self.restarts,
            web_access=self.web_access,
            service_account=vertex.service_account if vertex else None,
            network=vertex.network if vertex else None,
            tensorboard=vertex.tensorboard if vertex else None,
            persistent_resource=vertex.persistent_resource if vertex else None,
            encryption_key=vertex.encryption_key if vertex else None,
        )
        request = replace(request, labels={**request.labels, **self._cost_labels(connection, request)})
        return with_secret_values(request, local=connection.endpoint.local)

    def _cost_labels(self, connection: Connection, request: JobRequest) -> dict[str, str]:
        """Price and cap of the job; none without a cap, or on this machine, where a job costs nothing.

        Raises:
            VertexError: There is a cap, and the price isn't known.
        """
        if self.vertex_ai is None or self.max_cost is None:
            return {}
        catalog: list[PriceList] = []
        if not connection.endpoint.local:
            block = self.vertex_ai.credentials
            credentials = block.get_credentials_from_service_account() if block else None
            catalog, _ = current_prices(Home.default().cache, credentials)
        rate = hourly_rate(request, connection.region, [*catalog, built_in_prices()])
        CostEstimate(rate, request.timeout, cap=self.max_cost).require_price()
        return cost_labels(rate, self.max_cost)


def _connection(vertex_ai: VertexAI | None) -> Connection:
    return vertex_ai.connection() if vertex_ai else Connection.local(Home.default())


async def _in_thread(method: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - passes anything through
    return await run_sync_in_worker_thread(call_synchronously, method, *args)
