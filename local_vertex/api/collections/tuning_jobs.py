"""The methods of JobService for hyperparameter tuning jobs; `local_vertex.tuning` runs their trials.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.hyperparameterTuningJobs
"""

from __future__ import annotations

import secrets
import time
from typing import Protocol

from ...location import Location
from ...store.records import ResourceRecord
from ...store.store import Store
from ..fields.job_times import set_times
from ..fields.study_validation import check_tuning_job
from ..names import Caller, Names
from ..schema import Generated, Schema
from .operations import OperationsApi
from .stored_jobs import V1, StoredJobs

KIND = "hyperparameterTuningJobs"
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


class TuningJobsApi(StoredJobs):
    """The methods.

    Args:
        store: The tuning jobs.
        tuner: Runs them.
        operations: Makes the operations of deletions.
        names: Parses names.
        schema: The message classes.
    """

    kind, title, listed = KIND, "HyperparameterTuningJob", "hyperparameter_tuning_jobs"

    def __init__(self, *, store: Store, tuner: Tuner, operations: OperationsApi, names: Names, schema: Schema) -> None:
        super().__init__(store=store, operations=operations, names=names, schema=schema)
        self._tuner = tuner

    def create(self, request: Generated, caller: Caller) -> Generated:
        """CreateHyperparameterTuningJob: it is stored before the response, in which it is PENDING."""
        location = self._names.parent(request.parent, caller, f"aiplatform.{KIND}.create")
        job = request.hyperparameter_tuning_job
        for field in _OUTPUT_ONLY:
            job.ClearField(field)
        check_tuning_job(job, self._schema[f"{V1}.CustomJob"])
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

    def cancel(self, request: Generated, caller: Caller) -> Generated:
        """CancelHyperparameterTuningJob: it is CANCELLING when this returns, and ends when its trials have."""
        record, _ = self._find(request.name, caller, "cancel")
        self._tuner.cancel(record)
        return self._schema["google.protobuf.Empty"]()

    def _still_running(self, name: str) -> str:
        return f'The HyperparameterTuningJob "{name}" is still running: cancel it first.'

    def _message(self, record: ResourceRecord, location: Location) -> Generated:
        job = self._message_class.FromString(record.message)
        job.name = f"{location.name}/{KIND}/{record.id}"
        job.state = self._states[record.state].number
        set_times(job, record)
        return job
