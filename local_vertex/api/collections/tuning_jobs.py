"""The methods of JobService for hyperparameter tuning jobs; `local_vertex.tuning` runs their trials.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.hyperparameterTuningJobs
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Protocol

from ...location import Location
from ...store.records import TERMINAL, ResourceRecord
from ...store.store import Store
from ..fields.job_times import set_times
from ..fields.study_validation import check_tuning_job
from ..names import Caller, Names
from ..schema import Generated, Schema
from ..status import ApiError, Code
from .operations import OperationsApi
from .paging import masked, page

KIND = "hyperparameterTuningJobs"
_V1 = "google.cloud.aiplatform.v1"
_OUTPUT_ONLY = ("name", "trials", "state", "error", "create_time", "start_time", "end_time", "update_time")


class Tuner(Protocol):
    """Runs the tuning jobs of the store; implemented by `tuning.tuner.StoredTuner`."""

    def require_search(self) -> None:
        """Refuses tuning jobs where nothing can propose trials.

        Raises:
            LocalServiceError: Optuna is not installed.
        """
        ...

    def submit(self, location: Location, id_: str) -> None:
        """Runs a tuning job that was just created."""
        ...

    def cancel(self, record: ResourceRecord) -> bool:
        """Ends a tuning job and its trials; False if it has ended."""
        ...


class TuningJobsApi:
    """The methods.

    Args:
        store: The tuning jobs.
        tuner: Runs them.
        operations: Makes the operations of deletions.
        names: Parses names.
        schema: The message classes.
    """

    def __init__(self, *, store: Store, tuner: Tuner, operations: OperationsApi, names: Names, schema: Schema) -> None:
        self._store = store
        self._tuner = tuner
        self._operations = operations
        self._names = names
        self._schema = schema
        self._message_class = schema[f"{_V1}.HyperparameterTuningJob"]
        self._states = self._message_class.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name

    def create(self, request: Generated, caller: Caller) -> Generated:
        """CreateHyperparameterTuningJob: it is stored before the response, in which it is PENDING."""
        location = self._names.parent(request.parent, caller, f"aiplatform.{KIND}.create")
        job = request.hyperparameter_tuning_job
        for field in _OUTPUT_ONLY:
            job.ClearField(field)
        check_tuning_job(job, self._schema[f"{_V1}.CustomJob"])
        self._tuner.require_search()
        now = round(time.time(), 6)
        record = ResourceRecord(
            kind=KIND,
            project=location.project_id,
            region=location.region,
            id=str(secrets.randbelow(9 * 10**18) + 10**18),
            display_name=job.display_name,
            labels=dict(job.labels),
            state="JOB_STATE_PENDING",
            message=job.SerializeToString(),
            create_time=now,
            update_time=now,
        )
        self._store.resources.create(record)
        self._tuner.submit(location, record.id)
        return self._message(record, location)

    def get(self, request: Generated, caller: Caller) -> Generated:
        """GetHyperparameterTuningJob, with its trials."""
        return self._message(*self._find(request.name, caller, "get"))

    def list(self, request: Generated, caller: Caller) -> Generated:
        """ListHyperparameterTuningJobs: newest first."""
        from ..queries import compile_jobs

        location = self._names.parent(request.parent, caller, f"aiplatform.{KIND}.list")

        def find(
            where: str, values: Sequence[object], before: int | None, limit: int
        ) -> list[tuple[int, ResourceRecord]]:
            where, values = f"project = ? AND region = ? AND ({where})", [location.project_id, location.region, *values]
            return self._store.resources.find(KIND, where, values, before=before, limit=limit)

        states = list(self._states)
        found, token = page(
            request, [KIND, location.name], lambda text: compile_jobs(text, states, own_table=False), find
        )
        response = self._schema[f"{_V1}.ListHyperparameterTuningJobsResponse"](next_page_token=token)
        messages = [self._message(record, location) for record in found]
        masked(request.read_mask, messages, response.hyperparameter_tuning_jobs, self._message_class.DESCRIPTOR)
        return response

    def cancel(self, request: Generated, caller: Caller) -> Generated:
        """CancelHyperparameterTuningJob: it is CANCELLING when this returns, and ends when its trials have."""
        record, _ = self._find(request.name, caller, "cancel")
        self._tuner.cancel(record)
        return self._schema["google.protobuf.Empty"]()

    def delete(self, request: Generated, caller: Caller) -> Generated:
        """DeleteHyperparameterTuningJob: returns an operation that is done."""
        record, location = self._find(request.name, caller, "delete")
        if record.state not in TERMINAL:
            raise ApiError(
                Code.FAILED_PRECONDITION,
                f'The HyperparameterTuningJob "{request.name}" is still running: cancel it first.',
            )
        operation = self._operations.new_name(location.name)
        self._store.resources.delete(record, operation=operation, now=time.time())
        return self._operations.deletion(operation)

    def _find(self, name: str, caller: Caller, verb: str) -> tuple[ResourceRecord, Location]:
        location, id_ = self._names.resource(KIND, name, caller, f"aiplatform.{KIND}.{verb}")
        record = self._store.resources.get(KIND, location.project_id, location.region, id_)
        if record is None:
            raise ApiError(Code.NOT_FOUND, "The HyperparameterTuningJob does not exist.")
        return record, location

    def _message(self, record: ResourceRecord, location: Location) -> Generated:
        job = self._message_class.FromString(record.message)
        job.name = f"{location.name}/{KIND}/{record.id}"
        job.state = self._states[record.state].number
        set_times(job, record)
        return job
