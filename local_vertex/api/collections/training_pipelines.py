"""PipelineService for training pipelines that run a custom task, as CustomTrainingJob and Airflow create them.

A pipeline starts a custom job, and is what that job is.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.trainingPipelines
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from ...location import Location
from ...store.records import TERMINAL, ResourceRecord
from ...store.store import Store
from ..fields.job_times import set_times
from ..fields.label_rule import label_violations
from ..jobs import JobsApi
from ..names import Caller, Names
from ..schema import Generated, Schema
from ..status import ApiError, Code, Violation, invalid, unimplemented
from .operations import OperationsApi
from .paging import masked, page
from .registered_models import OUTPUT_ONLY as MODEL_OUTPUT_ONLY
from .registered_models import RegisteredModelsApi, model_folder

CUSTOM_TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
_KIND = "trainingPipelines"
_V1 = "google.cloud.aiplatform.v1"
_OUTPUT_ONLY = (
    "name",
    "training_task_metadata",
    "state",
    "error",
    "create_time",
    "start_time",
    "end_time",
    "update_time",
)
_PIPELINE_STATES = {
    "JOB_STATE_EXPIRED": "PIPELINE_STATE_FAILED",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "PIPELINE_STATE_SUCCEEDED",
}


class TrainingPipelinesApi:
    """The methods.

    Args:
        store: The pipelines.
        jobs: Creates and cancels their jobs.
        models: Registers their models.
        operations: Makes the operations of deletions.
        names: Parses names.
        schema: The message classes.
    """

    def __init__(
        self,
        *,
        store: Store,
        jobs: JobsApi,
        models: RegisteredModelsApi,
        operations: OperationsApi,
        names: Names,
        schema: Schema,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._models = models
        self._operations = operations
        self._names = names
        self._schema = schema
        self._pipeline = schema[f"{_V1}.TrainingPipeline"]
        self._states = self._pipeline.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_name

    def create(self, request: Generated, caller: Caller) -> Generated:
        """CreateTrainingPipeline: pipeline and job are stored before the response, in which it is PENDING."""
        location = self._names.parent(request.parent, caller, "aiplatform.trainingPipelines.create")
        pipeline = request.training_pipeline
        for field in _OUTPUT_ONLY:
            pipeline.ClearField(field)
        if pipeline.HasField("model_to_upload"):
            for field in MODEL_OUTPUT_ONLY:
                pipeline.model_to_upload.ClearField(field)
        self._check(pipeline)
        job = self._custom_job(pipeline)
        record = self._jobs.add(job, location)
        name = str(secrets.randbelow(9 * 10**18) + 10**18)
        made = ResourceRecord(
            kind=_KIND,
            project=location.project_id,
            region=location.region,
            id=name,
            display_name=pipeline.display_name,
            labels=dict(pipeline.labels),
            state=record.state,
            job=record.id,
            message=pipeline.SerializeToString(),
            create_time=record.create_time or 0.0,
            update_time=record.update_time or 0.0,
        )
        self._store.resources.create(made)
        self._jobs.run(record, location)
        return self._message(made, location)

    def get(self, request: Generated, caller: Caller) -> Generated:
        """GetTrainingPipeline."""
        return self._message(*self._find(request.name, caller, "get"))

    def list(self, request: Generated, caller: Caller) -> Generated:
        """ListTrainingPipelines: newest first."""
        from ..queries import compile_jobs

        location = self._names.parent(request.parent, caller, "aiplatform.trainingPipelines.list")

        def find(
            where: str, values: Sequence[object], before: int | None, limit: int
        ) -> list[tuple[int, ResourceRecord]]:
            where, values = f"project = ? AND region = ? AND ({where})", [location.project_id, location.region, *values]
            return self._store.resources.find(_KIND, where, values, before=before, limit=limit)

        states = list(self._states)
        found, token = page(
            request, [_KIND, location.name], lambda text: compile_jobs(text, states, own_table=False), find
        )
        response = self._schema[f"{_V1}.ListTrainingPipelinesResponse"](next_page_token=token)
        messages = [self._message(record, location) for record in found]
        masked(request.read_mask, messages, response.training_pipelines, self._pipeline.DESCRIPTOR)
        return response

    def cancel(self, request: Generated, caller: Caller) -> Generated:
        """CancelTrainingPipeline: cancels its job."""
        record, _ = self._find(request.name, caller, "cancel")
        self._jobs.cancel_id(record.job)
        return self._schema["google.protobuf.Empty"]()

    def delete(self, request: Generated, caller: Caller) -> Generated:
        """DeleteTrainingPipeline: removes the pipeline, not its job; returns an operation that is done."""
        record, location = self._find(request.name, caller, "delete")
        if record.state not in TERMINAL:
            raise ApiError(Code.FAILED_PRECONDITION, "The TrainingPipeline is still running: cancel it first.")
        operation = self._operations.new_name(location.name)
        self._store.resources.delete(record, operation=operation, now=time.time())
        return self._operations.deletion(operation)

    def _find(self, name: str, caller: Caller, verb: str) -> tuple[ResourceRecord, Location]:
        location, id_ = self._names.resource(_KIND, name, caller, f"aiplatform.trainingPipelines.{verb}")
        record = self._store.resources.get(_KIND, location.project_id, location.region, id_)
        if record is None:
            raise ApiError(Code.NOT_FOUND, "The TrainingPipeline does not exist.")
        return record, location

    def _check(self, pipeline: Generated) -> None:
        if pipeline.training_task_definition != CUSTOM_TASK:
            raise unimplemented(
                f"The training task `{pipeline.training_task_definition}`",
                f"Of training tasks it serves {CUSTOM_TASK}.",
            )
        if pipeline.HasField("input_data_config"):
            raise unimplemented("input_data_config", "Pass the data's address as an argument of the program.")
        violations = []
        if not pipeline.display_name:
            violations.append(Violation("training_pipeline.display_name", "The display name is required."))
        violations += label_violations(pipeline.labels, "training_pipeline.labels")
        violations += self._models.violations(pipeline)
        if violations:
            raise invalid(violations)

    def _custom_job(self, pipeline: Generated) -> Generated:
        """The CustomJob of a pipeline: its inputs are a CustomJobSpec in JSON, in either spelling of field names."""
        from google.protobuf.json_format import ParseError

        inputs = self._schema.to_json(pipeline.training_task_inputs)
        try:
            if not isinstance(inputs, dict):
                raise TypeError("they are no JSON object")
            spec = self._schema.from_json(inputs, f"{_V1}.CustomJobSpec")
        except (ParseError, ValueError, TypeError, RecursionError) as error:
            text = f"The inputs are not those of a custom task: {' '.join(str(error).split())}."
            raise invalid([Violation("training_pipeline.training_task_inputs", text)]) from error
        job = self._schema[f"{_V1}.CustomJob"](display_name=f"{pipeline.display_name[:117]}-custom-job")
        job.job_spec.CopyFrom(spec)
        job.labels.update(pipeline.labels)
        if pipeline.HasField("encryption_spec"):
            job.encryption_spec.CopyFrom(pipeline.encryption_spec)
        return job

    def _message(self, record: ResourceRecord, location: Location) -> Generated:
        pipeline = self._pipeline.FromString(record.message)
        state = _PIPELINE_STATES.get(record.state, record.state.replace("JOB_STATE_", "PIPELINE_STATE_"))
        if state == "PIPELINE_STATE_SUCCEEDED" and pipeline.HasField("model_to_upload"):
            folder = model_folder(self._schema.to_json(pipeline.training_task_inputs))
            self._models.register(record, pipeline, location, folder)
            state = "PIPELINE_STATE_FAILED" if pipeline.error.code else state
        pipeline.name = f"{location.name}/{_KIND}/{record.id}"
        pipeline.state = self._states[state].number
        metadata = pipeline.training_task_metadata.struct_value
        metadata["backingCustomJob"] = f"{location.name}/customJobs/{record.job}"
        set_times(pipeline, record)
        return pipeline
