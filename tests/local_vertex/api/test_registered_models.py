"""A training pipeline registers the model that its job left, as Google's service does, or says that there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import ModelServiceClient, PipelineServiceClient
from google.cloud.aiplatform_v1.services.model_service.transports import ModelServiceGrpcTransport
from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport
from google.cloud.aiplatform_v1.types import PipelineState

CUSTOM_TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"


@pytest.fixture
def models(local: Any) -> ModelServiceClient:
    """Google's client for models."""
    return ModelServiceClient(transport=ModelServiceGrpcTransport(channel=local.channel()))


class Pipelines:
    """Google's client for pipelines, and jobs that end as a test says."""

    def __init__(self, local: Any) -> None:
        self.local = local
        self.client = PipelineServiceClient(transport=PipelineServiceGrpcTransport(channel=local.channel()))

    def create(self, **changes: Any) -> Any:
        """A pipeline with a model, as the SDK sends it."""
        pool = {
            "replica_count": 1,
            "machine_spec": {"machine_type": "n1-standard-4"},
            "container_spec": {"image_uri": "oci:/images:demo"},
        }
        inputs = {"worker_pool_specs": [pool], "base_output_directory": {"output_uri_prefix": "gs://local/x"}}
        container = {"image_uri": "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"}
        model = {"display_name": "digits", "labels": {"team": "a"}, "container_spec": container}
        fields = {"display_name": "p", "training_task_definition": CUSTOM_TASK, "training_task_inputs": inputs}
        return self.client.create_training_pipeline(
            parent=self.local.parent, training_pipeline={**fields, "model_to_upload": model, **changes}
        )

    def succeed(self, pipeline: Any) -> Any:
        """The pipeline after its job has succeeded."""
        job = pipeline.training_task_metadata["backingCustomJob"]
        self.local.runner.end(job.rpartition("/")[2], "JOB_STATE_SUCCEEDED")
        return self.client.get_training_pipeline(name=pipeline.name)


@pytest.fixture
def pipelines(local: Any) -> Pipelines:
    """Pipelines with a model."""
    return Pipelines(local)


@pytest.fixture
def saved(local: Any) -> Path:
    """What a job has saved in its model folder."""
    path = Path(local.service.buckets) / "local" / "x" / "model" / "1" / "saved_model.pb"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"model")
    return path


def test_a_pipelines_model_is_registered(local: Any, pipelines: Pipelines, models: Any, saved: Path) -> None:
    """Only when the job has succeeded; it is got by name and version, listed, and stays deleted."""
    made = pipelines.create()
    ended = pipelines.succeed(made)
    model = models.get_model(name=ended.model_to_upload.name)

    assert saved.is_file()
    assert (made.model_to_upload.name, made.model_to_upload.display_name) == ("", "digits")
    assert ended.state == PipelineState.PIPELINE_STATE_SUCCEEDED
    assert (model.display_name, model.artifact_uri) == ("digits", "gs://local/x/model")
    assert (model.version_id, list(model.version_aliases), model.training_pipeline) == ("1", ["default"], made.name)
    assert model.container_spec.image_uri.endswith("tf2-cpu.2-15:latest")
    assert models.get_model(name=f"{model.name}@default") == models.get_model(name=f"{model.name}@1") == model
    assert [each.name for each in models.list_models({"parent": local.parent, "filter": "labels.team=a"})] == [
        model.name
    ]
    assert list(models.list_models({"parent": local.parent, "filter": "labels.team=b"})) == []
    assert [each.version_id for each in models.list_model_versions(name=model.name)] == ["1"]
    models.delete_model(name=model.name).result()
    assert pipelines.client.get_training_pipeline(name=made.name).model_to_upload.name == model.name
    with pytest.raises(exceptions.NotFound, match=r"The Model .* does not exist"):
        models.get_model(name=model.name)


def test_a_job_that_saved_nothing_fails_its_pipeline(local: Any, pipelines: Pipelines, models: Any) -> None:
    """As in the cloud, where a person would learn it after the training was paid for."""
    ended = pipelines.succeed(pipelines.create())
    (Path(local.service.buckets) / "local" / "x" / "model").mkdir(parents=True)
    (Path(local.service.buckets) / "local" / "x" / "model" / "late").touch()
    again = pipelines.client.get_training_pipeline(name=ended.name)

    for each in (ended, again):
        assert each.state == PipelineState.PIPELINE_STATE_FAILED
        assert (each.error.code, each.error.message) == (5, 'There are no files under "gs://local/x/model" to copy.')
        assert each.model_to_upload.name == ""
    assert list(models.list_models(parent=local.parent)) == []


@pytest.mark.usefixtures("saved")
def test_a_model_may_have_an_id_of_its_own(pipelines: Pipelines, models: Any) -> None:
    """A second pipeline with that id fails, and leaves the first one's model."""
    first = pipelines.succeed(pipelines.create(model_id="digits-1"))
    second = pipelines.succeed(pipelines.create(model_id="digits-1"))

    assert first.model_to_upload.name.endswith("/models/digits-1")
    assert (second.state, second.error.code) == (PipelineState.PIPELINE_STATE_FAILED, 6)
    assert models.get_model(name=first.model_to_upload.name).training_pipeline == first.name


@pytest.mark.parametrize(
    ("changes", "error", "part"),
    [
        ({"model_to_upload": {}}, exceptions.InvalidArgument, "model_to_upload.display_name"),
        ({"model_id": "1-digits"}, exceptions.InvalidArgument, "training_pipeline.model_id"),
        ({"parent_model": "projects/local/locations/x/models/1"}, exceptions.MethodNotImplemented, "parent_model"),
    ],
)
def test_a_bad_model_is_refused(
    local: Any, pipelines: Pipelines, changes: dict[str, Any], error: type[Exception], part: str
) -> None:
    """Before the job is created."""
    with pytest.raises(error, match=part):
        pipelines.create(**changes)

    assert local.store.find() == []


def test_what_else_models_can_do_is_not_served(local: Any, models: Any) -> None:
    """The text says what is."""
    with pytest.raises(exceptions.MethodNotImplemented, match="training pipelines for custom tasks and their models"):
        models.upload_model(parent=local.parent, model={"display_name": "x"})
