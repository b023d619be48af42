"""The methods of JobService for custom jobs.

https://cloud.google.com/vertex-ai/docs/reference/rpc/google.cloud.aiplatform.v1#jobservice
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeAlias

from ..faults import Faults
from ..location import Location
from ..store.records import TERMINAL, JobRecord
from ..store.store import Store
from .collections.operations import OperationsApi
from .collections.paging import masked, page
from .fields.job_times import set_times
from .names import Caller, Names
from .schema import Generated, Schema
from .status import ApiError, Code

Found: TypeAlias = list[tuple[int, JobRecord]]

NO_JOB = "The CustomJob does not exist."
_V1 = "google.cloud.aiplatform.v1"
_KIND = "customJobs"
_OUTPUT_ONLY = (
    "name",
    "state",
    "create_time",
    "start_time",
    "end_time",
    "update_time",
    "error",
    "web_access_uris",
    "satisfies_pzs",
    "satisfies_pzi",
)


class Runner(Protocol):
    """Runs the jobs of the store; implemented by `execution.executor.Executor`."""

    def submit(self, job_id: str) -> None:
        """Runs a job that was just created."""
        ...

    def cancel(self, job_id: str) -> None:
        """Ends a job in the state CANCELLING."""
        ...

    def forget(self, job_id: str) -> None:
        """Removes the files of a deleted job."""
        ...


class JobsApi:
    """The methods; each takes a request message and returns a response message or raises `ApiError`.

    Args:
        store: The jobs.
        runner: Runs the jobs. It may still be starting; only methods that change a job wait for it.
        faults: The faults to inject.
        names: Parses names.
        operations: Makes the operations of deletions.
        schema: The message classes.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        *,
        store: Store,
        runner: Future[Runner],
        faults: Faults,
        names: Names,
        operations: OperationsApi,
        schema: Schema,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._runner = runner
        self._faults = faults
        self._names = names
        self._operations = operations
        self._schema = schema
        self._clock = clock
        self._job = schema[f"{_V1}.CustomJob"]
        self._states = self._job.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name

    # Methods

    def create(self, request: Generated, caller: Caller) -> Generated:
        """CreateCustomJob: the job is stored before the response, in which it is PENDING."""
        location = self._names.parent(request.parent, caller, "aiplatform.customJobs.create")
        record = self.add(request.custom_job, location)
        self.run(record, location)
        return self._message(record, location)

    def get(self, request: Generated, caller: Caller) -> Generated:
        """GetCustomJob."""
        return self._message(*self._find(request.name, caller, "get"))

    def list(self, request: Generated, caller: Caller) -> Generated:
        """ListCustomJobs: newest first."""
        from .queries import compile_jobs

        location = self._names.parent(request.parent, caller, "aiplatform.customJobs.list")
        lag = self._faults.value("list_lag_seconds", location.region)

        def find(where: str, values: Sequence[object], before: int | None, limit: int) -> Found:
            where, values = f"({where}) AND project = ? AND region = ?", [*values, location.project_id, location.region]
            if lag:
                where, values = f"{where} AND create_time <= ?", [*values, self._clock() - lag]
            return self._store.find(where, values, before=before, limit=limit)

        states = tuple(self._states)
        found, token = page(request, [_KIND, location.name], lambda text: compile_jobs(text, states), find)
        response = self._schema[f"{_V1}.ListCustomJobsResponse"](next_page_token=token)
        messages = [self._message(record, location) for record in found]
        masked(request.read_mask, messages, response.custom_jobs, self._job.DESCRIPTOR)
        return response

    def cancel(self, request: Generated, caller: Caller) -> Generated:
        """CancelCustomJob: the job is CANCELLING when this returns, and ends soon after."""
        record, _ = self._find(request.name, caller, "cancel")
        if not self.cancel_id(record.id) and self._faults.cancel_of_ended_fails:
            raise ApiError(Code.FAILED_PRECONDITION, "The CustomJob is in a final state and can't be cancelled.")
        return self._schema["google.protobuf.Empty"]()

    def delete(self, request: Generated, caller: Caller) -> Generated:
        """DeleteCustomJob: returns an operation that is done."""
        record, location = self._find(request.name, caller, "delete")
        runner = self._runner.result()
        if record.state not in TERMINAL:
            raise ApiError(
                Code.FAILED_PRECONDITION, f'The CustomJob "{request.name}" is still running: cancel it first.'
            )
        operation = self._operations.new_name(location.name)
        if not self._store.delete(record.id, operation=operation):
            raise ApiError(Code.NOT_FOUND, NO_JOB)
        runner.forget(record.id)
        return self._operations.deletion(operation)

    # For other methods that make jobs

    def add(self, job: Generated, location: Location) -> JobRecord:
        """Checks a CustomJob and stores it.

        Raises:
            ApiError: It is invalid, or a fault refuses it.
        """
        from .fields.boot_disk import fill_in  # late, as the runner is: a service responds before it can run jobs
        from .fields.validation import check

        self._runner.result()  # an error of its start is reported here, before anything is stored
        for field in _OUTPUT_ONLY:
            job.ClearField(field)
        check(job)
        self._inject_refusals(job, location)
        self._find_persistent_resource(job.job_spec, location)
        for pool in job.job_spec.worker_pool_specs:
            if pool.ByteSize():
                fill_in(pool.disk_spec, pool.machine_spec.machine_type)
        now = round(self._clock(), 6)
        record = JobRecord(
            id=str(secrets.randbelow(8 * 10**18) + 10**18),
            display_name=job.display_name,
            labels=dict(job.labels),
            spec=self._schema.to_json(job.job_spec, proto_names=True),
            create_time=now,
            update_time=now,
            message=job.SerializeToString(),
            project=location.project_id,
            project_number=location.project_number,
            region=location.region,
        )
        self._store.create(record)
        return record

    def run(self, record: JobRecord, location: Location) -> None:
        """Starts a job that was stored."""
        self._runner.result().submit(record.id)
        if self._faults.take("create_lost", location.region):
            raise ApiError(Code.UNAVAILABLE, "The service is currently unavailable.")

    def cancel_id(self, job_id: str) -> bool:
        """Cancels a job; False if it has ended."""
        runner = self._runner.result()
        is_live = self._store.request_cancel(job_id)
        if is_live:
            runner.cancel(job_id)
        return is_live

    # Shared by the methods

    def _find(self, name: str, caller: Caller, verb: str) -> tuple[JobRecord, Location]:
        location, id_ = self._names.resource(_KIND, name, caller, f"aiplatform.customJobs.{verb}")
        record = self._store.get(id_)
        if record is None or (record.project, record.region) != (location.project_id, location.region):
            raise ApiError(Code.NOT_FOUND, NO_JOB)
        return record, location

    def _find_persistent_resource(self, spec: Generated, location: Location) -> None:
        name = spec.persistent_resource_id
        kind = "persistentResources"
        if name and self._store.resources.get(kind, location.project_id, location.region, name) is None:
            raise ApiError(Code.NOT_FOUND, "The PersistentResource does not exist.")

    def _inject_refusals(self, job: Generated, location: Location) -> None:
        """Raises the errors of a real project that this machine doesn't have, if the faults ask for them."""
        spec = job.job_spec
        account = spec.service_account
        if account and account == self._faults.refused_service_account:
            text = f"You do not have permission to act as service_account: {account}. (or it may not exist)."
            raise ApiError(Code.INVALID_ARGUMENT, text)
        bucket = spec.base_output_directory.output_uri_prefix
        place = self._faults.value("bucket_location", location.region)
        if bucket and place not in {"", location.region}:
            raise ApiError(
                Code.FAILED_PRECONDITION,
                f"The Cloud Storage bucket of `{bucket}` is in location `{place}`. It must be in the same regional"
                f" location as the service location `{location.region}`.",
            )
        if self._faults.take("resource_exhausted", location.region):
            raise self._exhausted(spec)

    def _exhausted(self, spec: Generated) -> ApiError:
        from .fields.validation import SPOT

        machine = self._schema.to_json(spec.worker_pool_specs[0].machine_spec, proto_names=True)
        kind = machine.get("accelerator_type", "").lower()
        spot = "preemptible_" if spec.scheduling.strategy == SPOT else ""
        metric = f"custom_model_training_{spot}{kind}_gpus" if kind else f"custom_model_training_{spot}cpus"
        return ApiError(
            Code.RESOURCE_EXHAUSTED,
            f"The following quota metrics exceed quota limits: aiplatform.googleapis.com/{metric}",
        )

    def _message(self, record: JobRecord, location: Location) -> Generated:
        job = self._job.FromString(record.message)
        job.name = f"{location.name}/{_KIND}/{record.id}"
        job.state = self._states[record.state].number
        set_times(job, record)
        return job
