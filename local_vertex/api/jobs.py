"""JobService for custom jobs, and the operations of their deletion.

https://cloud.google.com/vertex-ai/docs/reference/rpc/google.cloud.aiplatform.v1#jobservice
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ..faults import Switches
from ..store.store import TERMINAL, JobRecord, Store
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


@dataclass(frozen=True, slots=True)
class Environment:
    """Which project and region the service stands for.

    Attributes:
        project_id: As "local".
        project_number: Digits; what names in answers hold.
        region: As "us-central1".
    """

    project_id: str
    project_number: str
    region: str


class Runner(Protocol):
    """Who runs the jobs of the store; see `execution.Executor`."""

    def submit(self, job_id: str) -> None:
        """Starts a job that was just created."""
        ...

    def cancel(self, job_id: str) -> None:
        """Ends a job that is CANCELLING."""
        ...

    def forget(self, job_id: str) -> None:
        """Removes what a deleted job left on disk."""
        ...


class JobsApi:
    """The methods; each takes a request message and returns a response message or raises `ApiError`.

    Args:
        store: The jobs.
        runner: Who runs them; may still be starting, which only those wait for who change a job.
        switches: The faults of the methods here.
        environment: The project and region that are served.
        schema: The messages.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        *,
        store: Store,
        runner: Future[Runner],
        switches: Switches,
        environment: Environment,
        schema: Schema,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._runner = runner
        self._switches = switches
        self._environment = environment
        self._schema = schema
        self._clock = clock
        self._job = schema[f"{_V1}.CustomJob"]
        self._states = self._job.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name

    @property
    def _location(self) -> str:
        return f"projects/{self._environment.project_number}/locations/{self._environment.region}"

    # Methods

    def create(self, request: Generated) -> Generated:
        """CreateCustomJob: answers PENDING; the job exists before the caller hears of it."""
        self._match(_LOCATION, request.parent, "parent", "aiplatform.customJobs.create")
        runner = self._runner.result()
        job = request.custom_job
        for field in _OUTPUT_ONLY:
            job.ClearField(field)
        check(job)
        self._refuse(job)
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
        if self._switches.take("create_lost"):
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
        query = ("customJobs", request.filter, self._location)
        try:
            where, values = queries.compile_jobs(request.filter, list(self._states))
            place = queries.page_place(request.page_token, query, 1)
        except FilterError as error:
            raise invalid([Violation("filter", f"{error}.")]) from error
        except queries.PageTokenError as error:
            raise invalid([Violation("page_token", f"{error}.")]) from error
        if self._switches.list_lag_seconds:
            where, values = (
                f"({where}) AND create_time <= ?",
                [*values, self._clock() - self._switches.list_lag_seconds],
            )
        found = self._store.find(where, values, before=None if place is None else int(place[0]), limit=size + 1)
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
        """CancelCustomJob: best effort; the job is CANCELLING when this returns, and ends soon after."""
        record = self._find(request.name, "aiplatform.customJobs.cancel")
        runner = self._runner.result()
        if self._store.request_cancel(record.id):
            runner.cancel(record.id)
        elif self._switches.cancel_of_ended_fails:
            raise ApiError(Code.FAILED_PRECONDITION, "The CustomJob is in a final state and can't be cancelled.")
        return self._schema["google.protobuf.Empty"]()

    def delete(self, request: Generated) -> Generated:
        """DeleteCustomJob: an operation that is done when it is answered."""
        record = self._find(request.name, "aiplatform.customJobs.delete")
        runner = self._runner.result()
        if record.state not in TERMINAL:
            raise ApiError(
                Code.FAILED_PRECONDITION, f'The CustomJob "{request.name}" is still running: cancel it first.'
            )
        name = f"{self._location}/operations/{secrets.randbelow(9 * 10**18) + 10**18}"
        if self._store.delete(record.id, operation=name):
            runner.forget(record.id)
        return self._deletion(name)

    def get_operation(self, request: Generated) -> Generated:
        """Operations.GetOperation, of deletions."""
        self._match(_OPERATION, request.name, "name", "aiplatform.operations.get")
        return self._deletion(request.name)

    # What they share

    def _match(self, pattern: re.Pattern[str], name: str, field: str, permission: str) -> re.Match[str]:
        found = pattern.fullmatch(name)
        if found is None:
            raise invalid([Violation(field, f"`{name}` is not a valid resource name.")])
        served = self._switches.endpoint_region or self._environment.region
        if found["location"] != served:
            text = f"The provided location ID doesn't match the endpoint. The valid location ID is `{served}`."
            raise invalid([Violation(field, text)])
        if found["project"] not in {self._environment.project_id, self._environment.project_number}:
            place = f"//aiplatform.googleapis.com/projects/{found['project']}/locations/{found['location']}"
            raise ApiError(
                Code.PERMISSION_DENIED,
                f"Permission '{permission}' denied on resource '{place}' (or it may not exist).",
            )
        return found

    def _find(self, name: str, permission: str) -> JobRecord:
        record = self._store.get(self._match(_JOB, name, "name", permission)["id"])
        if record is None:
            raise ApiError(Code.NOT_FOUND, f'The CustomJob "{name}" does not exist.')
        return record

    def _refuse(self, job: Generated) -> None:
        """The refusals that a cloud project has and this machine has not: only where a switch asks for them."""
        spec = job.job_spec
        account = spec.service_account
        if account and account == self._switches.refused_service_account:
            text = f"You do not have permission to act as service_account: {account}. (or it may not exist)."
            raise ApiError(Code.INVALID_ARGUMENT, text)
        bucket = spec.base_output_directory.output_uri_prefix
        location = self._switches.bucket_location
        if bucket and location not in {"", self._environment.region}:
            raise ApiError(
                Code.FAILED_PRECONDITION,
                f"The Cloud Storage bucket of `{bucket}` is in location `{location}`. It must be in the same regional"
                f" location as the service location `{self._environment.region}`.",
            )
        if self._switches.take("resource_exhausted"):
            machine = self._schema.to_json(spec.worker_pool_specs[0].machine_spec, proto_names=True)
            kind = machine.get("accelerator_type", "").lower()
            metric = f"custom_model_training_{kind}_gpus" if kind else "custom_model_training_cpus"
            raise ApiError(
                Code.RESOURCE_EXHAUSTED,
                f"The following quota metrics exceed quota limits: aiplatform.googleapis.com/{metric}",
            )

    def _mask(self, request: Generated) -> Generated:
        """The read mask, or None when every field is wanted."""
        mask = request.read_mask
        if not mask.paths or list(mask.paths) == ["*"]:
            return None
        if not mask.IsValidForDescriptor(self._job.DESCRIPTOR):
            raise invalid([Violation("read_mask", f"`{','.join(mask.paths)}` names a field that CustomJob has not.")])
        return mask

    def _message(self, record: JobRecord) -> Generated:
        job = self._job.FromString(record.message)
        job.name = f"{self._location}/customJobs/{record.id}"
        job.state = self._states[record.state].number
        for field in ("create_time", "update_time"):
            _set_time(getattr(job, field), getattr(record, field))
        # The real service tells these in whole seconds, so a short job ends before it was created.
        for field in ("start_time", "end_time"):
            value = getattr(record, field)
            if value is not None:
                _set_time(getattr(job, field), math.floor(value))
        if record.error_code is not None:
            job.error.code = record.error_code
            job.error.message = record.error_message or ""
        return job

    def _deletion(self, name: str) -> Generated:
        made = self._store.operation(name)
        if made is None:
            raise ApiError(Code.NOT_FOUND, f'The operation "{name}" does not exist.')
        operation = self._schema["google.longrunning.Operation"](name=name, done=True)
        metadata = self._schema[f"{_V1}.DeleteOperationMetadata"]()
        _set_time(metadata.generic_metadata.create_time, made)
        _set_time(metadata.generic_metadata.update_time, made)
        operation.metadata.Pack(metadata)
        operation.response.Pack(self._schema["google.protobuf.Empty"]())
        return operation


def _set_time(field: Generated, seconds: float | None) -> None:
    field.FromMicroseconds(round((seconds or 0.0) * 1_000_000))
