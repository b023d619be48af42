"""PipelineService for training pipelines that run a custom task, as CustomTrainingJob and Airflow create them.

A pipeline starts a custom job, and is what that job is.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.trainingPipelines
"""

from __future__ import annotations

import secrets

from ...location import Location
from ...store.records import ResourceRecord
from ...store.store import Store
from ..fields.job_times import set_times
from ..fields.label_rule import label_violations
from ..jobs import JobsApi
from ..names import Caller, Names
from ..schema import Generated, Schema
from ..status import Violation, invalid, unimplemented
from .operations import OperationsApi
from .registered_models import OUTPUT_ONLY as MODEL_OUTPUT_ONLY
from .registered_models import RegisteredModelsApi, model_folder
from .stored_jobs import V1, StoredJobs

CUSTOM_TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
_KIND = "trainingPipelines"
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


class TrainingPipelinesApi(StoredJobs):
    """The methods.

    Args:
        store: The pipelines.
        jobs: Creates and cancels their jobs.
        models: Registers their models.
        operations: Makes the operations of deletions.
        names: Parses names.
        schema: The message classes.
    """

    kind, title, listed = _KIND, "TrainingPipeline", "training_pipelines"

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
        super().__init__(store=store, operations=operations, names=names, schema=schema)
        self._jobs = jobs
        self._models = models

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

    def cancel(self, request: Generated, caller: Caller) -> Generated:
        """CancelTrainingPipeline: cancels its job."""
        record, _ = self._find(request.name, caller, "cancel")
        self._jobs.cancel_id(record.job)
        return self._schema["google.protobuf.Empty"]()

    def _still_running(self, name: str) -> str:  # noqa: ARG002 - the real text doesn't name it
        return "The TrainingPipeline is still running: cancel it first."

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
            spec = self._schema.from_json(inputs, f"{V1}.CustomJobSpec")
        except (ParseError, ValueError, TypeError, RecursionError) as error:
            text = f"The inputs are not those of a custom task: {' '.join(str(error).split())}."
            raise invalid([Violation("training_pipeline.training_task_inputs", text)]) from error
        job = self._schema[f"{V1}.CustomJob"](display_name=f"{pipeline.display_name[:117]}-custom-job")
        job.job_spec.CopyFrom(spec)
        job.labels.update(pipeline.labels)
        if pipeline.HasField("encryption_spec"):
            job.encryption_spec.CopyFrom(pipeline.encryption_spec)
        return job

    def _message(self, record: ResourceRecord, location: Location) -> Generated:
        pipeline = self._message_class.FromString(record.message)
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
