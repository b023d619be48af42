"""The methods of JobService for custom jobs, and GetOperation for deletions.

https://cloud.google.com/vertex-ai/docs/reference/rpc/google.cloud.aiplatform.v1#jobservice
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from ..faults import Faults
from ..location import Location
from ..store.records import TERMINAL, JobRecord
from ..store.store import Store
from . import queries
from .filters import FilterError
from .schema import Generated, Schema
from .status import ApiError, Code, Violation, invalid
from .validation import check

PAGE_SIZE = 100
_V1 = "google.cloud.aiplatform.v1"
_LOCATION = re.compile(r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)")
_JOB = re.compile(_LOCATION.pattern + r"/customJobs/(?P<id>[^/]+)")
_OPERATION = re.compile(_LOCATION.pattern + r"/operations/(?P<id>[^/]+)")
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
        location: The project and region that are served.
        schema: The message classes.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        *,
        store: Store,
        runner: Future[Runner],
        faults: Faults,
        location: Location,
        schema: Schema,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._runner = runner
        self._faults = faults
        self._location = location
        self._schema = schema
        self._clock = clock
        self._job = schema[f"{_V1}.CustomJob"]
        self._states = self._job.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name

    # Methods

    def create(self, request: Generated) -> Generated:
        """CreateCustomJob: the job is stored before the response, in which it is PENDING."""
        self._match(_LOCATION, request.parent, "parent", "aiplatform.customJobs.create")
        runner = self._runner.result()
        job = request.custom_job
        for field in _OUTPUT_ONLY:
            job.ClearField(field)
        check(job)
        self._inject_refusals(job)
        now = round(self._clock(), 6)
        record = JobRecord(
            id=str(secrets.randbelow(9 * 10**18) + 10**18),
            display_name=job.display_name,
            labels=dict(job.labels),
            spec=self._schema.to_json(job.job_spec, proto_names=True),
            create_time=now,
            update_time=now,
            message=job.SerializeToString(),
        )
        self._store.create(record)
        runner.submit(record.id)
        if self._faults.take("create_lost"):
            raise ApiError(Code.UNAVAILABLE, "The service is currently unavailable.")
        return self._message(record)

    def get(self, request: Generated) -> Generated:
        """GetCustomJob."""
        return self._message(self._find(request.name, "aiplatform.customJobs.get"))

    def list(self, request: Generated) -> Generated:
        """ListCustomJobs: newest first."""
        self._match(_LOCATION, request.parent, "parent", "aiplatform.customJobs.list")
        if request.page_size < 0:
            raise invalid([Violation("page_size", "The page size must not be negative.")])
        size = min(request.page_size or PAGE_SIZE, PAGE_SIZE)
        query = ("customJobs", request.filter, self._location.name)
        try:
            where, values = queries.compile_jobs(request.filter, list(self._states))
            position = queries.page_position(request.page_token, query, 1)
        except FilterError as error:
            raise invalid([Violation("filter", f"{error}.")]) from error
        except queries.PageTokenError as error:
            raise invalid([Violation("page_token", f"{error}.")]) from error
        if self._faults.list_lag_seconds:
            where, values = (
                f"({where}) AND create_time <= ?",
                [*values, self._clock() - self._faults.list_lag_seconds],
            )
        found = self._store.find(where, values, before=None if position is None else int(position[0]), limit=size + 1)
        mask = self._mask(request)
        response = self._schema[f"{_V1}.ListCustomJobsResponse"]()
        for _, record in found[:size]:
            message = self._message(record)
            if mask is None:
                response.custom_jobs.append(message)
            else:
                mask.MergeMessage(message, response.custom_jobs.add())
        if len(found) > size:
            response.next_page_token = queries.page_token([found[size - 1][0]], query)
        return response

    def cancel(self, request: Generated) -> Generated:
        """CancelCustomJob: the job is CANCELLING when this returns, and ends soon after."""
        record = self._find(request.name, "aiplatform.customJobs.cancel")
        runner = self._runner.result()
        if self._store.request_cancel(record.id):
            runner.cancel(record.id)
        elif self._faults.cancel_of_ended_fails:
            raise ApiError(Code.FAILED_PRECONDITION, "The CustomJob is in a final state and can't be cancelled.")
        return self._schema["google.protobuf.Empty"]()

    def delete(self, request: Generated) -> Generated:
        """DeleteCustomJob: returns an operation that is done."""
        record = self._find(request.name, "aiplatform.customJobs.delete")
        runner = self._runner.result()
        if record.state not in TERMINAL:
            raise ApiError(
                Code.FAILED_PRECONDITION, f'The CustomJob "{request.name}" is still running: cancel it first.'
            )
        name = f"{self._location.name}/operations/{secrets.randbelow(9 * 10**18) + 10**18}"
        if self._store.delete(record.id, operation=name):
            runner.forget(record.id)
        return self._deletion(name)

    def get_operation(self, request: Generated) -> Generated:
        """Operations.GetOperation, for deletions."""
        self._match(_OPERATION, request.name, "name", "aiplatform.operations.get")
        return self._deletion(request.name)

    # Shared by the methods

    def _match(self, pattern: re.Pattern[str], name: str, field: str, permission: str) -> re.Match[str]:
        """Parses a resource name; raises `ApiError` if it is invalid, or its project or region is not served."""
        found = pattern.fullmatch(name)
        if found is None:
            raise invalid([Violation(field, f"`{name}` is not a valid resource name.")])
        served = self._faults.endpoint_region or self._location.region
        if found["location"] != served:
            text = f"The provided location ID doesn't match the endpoint. The valid location ID is `{served}`."
            raise invalid([Violation(field, text)])
        if found["project"] not in {self._location.project_id, self._location.project_number}:
            resource = f"//aiplatform.googleapis.com/projects/{found['project']}/locations/{found['location']}"
            raise ApiError(
                Code.PERMISSION_DENIED,
                f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).",
            )
        return found

    def _find(self, name: str, permission: str) -> JobRecord:
        record = self._store.get(self._match(_JOB, name, "name", permission)["id"])
        if record is None:
            raise ApiError(Code.NOT_FOUND, f'The CustomJob "{name}" does not exist.')
        return record

    def _inject_refusals(self, job: Generated) -> None:
        """Raises the errors of a real project that this machine doesn't have, if the faults ask for them."""
        spec = job.job_spec
        account = spec.service_account
        if account and account == self._faults.refused_service_account:
            text = f"You do not have permission to act as service_account: {account}. (or it may not exist)."
            raise ApiError(Code.INVALID_ARGUMENT, text)
        bucket = spec.base_output_directory.output_uri_prefix
        location = self._faults.bucket_location
        if bucket and location not in {"", self._location.region}:
            raise ApiError(
                Code.FAILED_PRECONDITION,
                f"The Cloud Storage bucket of `{bucket}` is in location `{location}`. It must be in the same regional"
                f" location as the service location `{self._location.region}`.",
            )
        if self._faults.take("resource_exhausted"):
            machine = self._schema.to_json(spec.worker_pool_specs[0].machine_spec, proto_names=True)
            kind = machine.get("accelerator_type", "").lower()
            metric = f"custom_model_training_{kind}_gpus" if kind else "custom_model_training_cpus"
            raise ApiError(
                Code.RESOURCE_EXHAUSTED,
                f"The following quota metrics exceed quota limits: aiplatform.googleapis.com/{metric}",
            )

    def _mask(self, request: Generated) -> Generated:
        """The read mask; None for all fields."""
        mask = request.read_mask
        if not mask.paths or list(mask.paths) == ["*"]:
            return None
        if not mask.IsValidForDescriptor(self._job.DESCRIPTOR):
            raise invalid(
                [Violation("read_mask", f"`{','.join(mask.paths)}` names a field that CustomJob doesn't have.")]
            )
        return mask

    def _message(self, record: JobRecord) -> Generated:
        job = self._job.FromString(record.message)
        job.name = f"{self._location.name}/customJobs/{record.id}"
        job.state = self._states[record.state].number
        for field in ("create_time", "update_time"):
            _set_time(getattr(job, field), getattr(record, field))
        # The real service rounds these down to seconds, so a short job can end before its create time.
        for field in ("start_time", "end_time"):
            value = getattr(record, field)
            if value is not None:
                _set_time(getattr(job, field), math.floor(value))
        if record.error_code is not None:
            job.error.code = record.error_code
            job.error.message = record.error_message or ""
        return job

    def _deletion(self, name: str) -> Generated:
        created = self._store.operation(name)
        if created is None:
            raise ApiError(Code.NOT_FOUND, f'The operation "{name}" does not exist.')
        operation = self._schema["google.longrunning.Operation"](name=name, done=True)
        metadata = self._schema[f"{_V1}.DeleteOperationMetadata"]()
        _set_time(metadata.generic_metadata.create_time, created)
        _set_time(metadata.generic_metadata.update_time, created)
        operation.metadata.Pack(metadata)
        operation.response.Pack(self._schema["google.protobuf.Empty"]())
        return operation


def _set_time(field: Generated, seconds: float | None) -> None:
    field.FromMicroseconds(round((seconds or 0.0) * 1_000_000))
