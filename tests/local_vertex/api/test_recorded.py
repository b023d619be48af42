"""What Google's service was recorded to answer, and the same with other ids, fields and order."""

from __future__ import annotations

import http.client
import json
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import PersistentResourceServiceClient, PipelineServiceClient, TensorboardServiceClient
from google.cloud.aiplatform_v1.services.persistent_resource_service.transports import (
    PersistentResourceServiceGrpcTransport,
)
from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport
from google.cloud.aiplatform_v1.services.tensorboard_service.transports import TensorboardServiceGrpcTransport
from google.cloud.aiplatform_v1.types import PipelineState
from google.cloud.aiplatform_v1beta1 import JobServiceClient as BetaClient
from google.cloud.aiplatform_v1beta1.services.job_service.transports import JobServiceGrpcTransport as BetaTransport
from prefect_vertex_training.local_vertex.store.records import LogEntry

Job = dict[str, Any]
JOBS = "/v1/projects/local/locations/us-central1/customJobs"
INVALID_NAME = "List of found errors:\t1.Field: name; Message: Invalid CustomJob resource name.\t"


@pytest.fixture
def rest(start_local: Any) -> Any:
    """A service with REST."""
    return start_local(tcp=True)


def call(rest: Any, verb: str, path: str, body: Any = None, *, token: bool = True) -> tuple[int, Any]:
    """Status and JSON of a call over REST."""
    connection = http.client.HTTPConnection(rest.service.rest_url.removeprefix("http://"), timeout=60)
    headers = {"Authorization": f"Bearer {rest.service.token}"} if token else {}
    connection.request(verb, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    return answer.status, json.loads(answer.read())


def body(**changes: Any) -> Job:
    """A job as the recorder sent it."""
    container = {"imageUri": "alpine:latest", "command": ["sh", "-c", "echo hello world"]}
    pool = {"containerSpec": container, "machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1"}
    return {"displayName": "minimal", "jobSpec": {"workerPoolSpecs": [pool]}, **changes}


def last(name: str) -> str:
    """The last part of a resource name."""
    return name.rpartition("/")[2]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("name", ["customjob-abc", "abc", "-1", "1.5", "0x1", "9" * 30])
@pytest.mark.parametrize(("verb", "suffix"), [("GET", ""), ("DELETE", ""), ("POST", ":cancel")])
def test_a_name_that_is_no_number(rest: Any, version: str, name: str, verb: str, suffix: str) -> None:
    """Every method refuses it with the recorded text, and over REST without details."""
    path = f"{JOBS.replace('/v1/', f'/{version}/')}/{name}{suffix}"
    error = {"code": 400, "message": INVALID_NAME, "status": "INVALID_ARGUMENT"}

    assert call(rest, verb, path, {} if suffix else None) == (400, {"error": error})


def test_a_created_job_has_a_disk_and_nothing_else_that_was_not_sent(rest: Any) -> None:
    """The default disk is filled in, also beside a part of it; enums are numbers where the client asks for them."""
    status, made = call(rest, "POST", f"{JOBS.replace('/v1/', '/v1beta1/')}?$alt=json;enum-encoding=int", body())
    half = body()
    half["jobSpec"]["workerPoolSpecs"][0]["diskSpec"] = {"bootDiskSizeGb": 200}
    half["jobSpec"]["workerPoolSpecs"][0].pop("replicaCount")
    pool = call(rest, "POST", JOBS, half)[1]["jobSpec"]["workerPoolSpecs"][0]

    assert status == 200
    assert made.keys() == {"name", "displayName", "jobSpec", "state", "createTime", "updateTime"}
    assert made["state"] == 2
    assert made["jobSpec"].keys() == {"workerPoolSpecs"}
    assert made["jobSpec"]["workerPoolSpecs"][0]["diskSpec"] == {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100}
    assert pool["diskSpec"] == {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 200}
    assert "replicaCount" not in pool


def test_another_project_is_denied_with_its_reason(rest: Any) -> None:
    """The ErrorInfo names permission and resource, whatever the method."""
    status, answer = call(rest, "POST", JOBS.replace("local", "another-project"), body())
    resource = "projects/another-project/locations/us-central1"

    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    (info,) = answer["error"]["details"]
    assert (info["reason"], info["domain"]) == ("IAM_PERMISSION_DENIED", "aiplatform.googleapis.com")
    assert info["metadata"] == {"permission": "aiplatform.customJobs.create", "resource": resource}
    assert call(rest, "GET", f"{JOBS.replace('local', 'x')}/1")[1]["error"]["details"][0]["metadata"] == {
        "permission": "aiplatform.customJobs.get",
        "resource": "projects/x/locations/us-central1",
    }


def test_texts_of_refusals_end_as_recorded(rest: Any) -> None:
    """Over REST a refused create ends in a blank; several fields are numbered with a tab between them."""
    bad = body(displayName="", labels={"Cost": "$1"})
    text = call(rest, "POST", JOBS, bad)[1]["error"]["message"]

    assert text.startswith("List of found errors:\t1.Field: display_name; Message: The display name is required.\t2.")
    assert text.endswith("encoded in UTF-8.\t ")
    assert call(rest, "GET", f"{JOBS}/1234567890123456789")[1]["error"]["message"] == "The CustomJob does not exist."


def test_the_versions_have_the_same_answers(local: Any, job: Job) -> None:
    """A client of v1beta1 creates, lists and deletes; its operation packs messages of its own version."""
    beta = BetaClient(transport=BetaTransport(channel=local.channel()))
    made = beta.create_custom_job(parent=local.parent, custom_job=job)
    local.runner.end(last(made.name))
    operation = beta.delete_custom_job(name=made.name)

    assert made.job_spec.worker_pool_specs[0].disk_spec.boot_disk_size_gb == 100
    assert operation.operation.metadata.type_url.endswith("v1beta1.DeleteOperationMetadata")
    assert operation.operation.done


def test_labels_of_lines(local: Any) -> None:
    """Lines of the service have the recorded labels, the last one with the job's state; replicas' lines have not."""
    from prefect_vertex_training.local_vertex.store.records import JobRecord

    local.store.create(JobRecord(id="1"))
    texts = [("service", "Job is running."), ("workerpool0-0", "Job failed."), ("service", "Job failed.")]
    local.store.append_logs("1", [LogEntry(1.0, "INFO", task, text) for task, text in texts])
    found = [dict(entry.labels) for entry in local.logs().list_log_entries({"resource_names": ["projects/local"]})]

    endpoint = {"ml.googleapis.com/endpoint": ""}
    ended = {**endpoint, "ml.googleapis.com/job_state": "FAILED"}
    assert found == [endpoint, {"ml.googleapis.com/job_id": "1"}, ended]


# Neighbours of custom jobs


@pytest.fixture
def persistent(local: Any) -> PersistentResourceServiceClient:
    """Google's client for persistent resources."""
    return PersistentResourceServiceClient(transport=PersistentResourceServiceGrpcTransport(channel=local.channel()))


def test_a_persistent_resource(local: Any, job: Job, persistent: Any) -> None:
    """Created, read, used by a job and deleted, with the recorded operations, defaults and texts."""
    name = f"{local.parent}/persistentResources/pool-1"
    with pytest.raises(exceptions.NotFound, match=r"^404 The PersistentResource does not exist\.$"):
        persistent.get_persistent_resource(name=name)
    pools = [{"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1}]
    request = {
        "parent": local.parent,
        "persistent_resource_id": "pool-1",
        "persistent_resource": {"resource_pools": pools},
    }
    operation = persistent.create_persistent_resource(request)
    ready = operation.result(timeout=60)
    found = persistent.get_persistent_resource(name=name)
    job["job_spec"]["persistent_resource_id"] = "pool-1"
    local.jobs().create_custom_job(parent=local.parent, custom_job=job)
    job["job_spec"]["persistent_resource_id"] = "pool-2"
    with pytest.raises(exceptions.NotFound):
        local.jobs().create_custom_job(parent=local.parent, custom_job=job)

    place = f"projects/{local.service.project_number}/locations/us-central1"
    assert ready.name == f"{place}/persistentResources/pool-1"
    assert operation.operation.name.startswith(f"{ready.name}/operations/")
    assert operation.metadata.progress_message == "Your persistent resource is ready."
    pool = found.resource_pools[0]
    assert (pool.id, pool.disk_spec.boot_disk_type, found.display_name) == ("n1-standard-4", "pd-ssd", "pool-1")
    with pytest.raises(exceptions.AlreadyExists):
        persistent.create_persistent_resource(request)
    assert [one.name for one in persistent.list_persistent_resources(parent=local.parent)] == [ready.name]
    assert persistent.delete_persistent_resource(name=name).operation.name.startswith(f"{place}/operations/")
    assert list(persistent.list_persistent_resources(parent=local.parent)) == []


def test_a_bad_persistent_resource_is_refused(local: Any, persistent: Any) -> None:
    """Both fields are named with the recorded text, which ends in a tab."""
    request = {"parent": local.parent, "persistent_resource_id": "a_b", "persistent_resource": {"labels": {"a": "$"}}}
    with pytest.raises(exceptions.InvalidArgument) as failure:
        persistent.create_persistent_resource(request)

    fields = [violation.field for violation in failure.value.details[0].field_violations]
    assert fields == ["persistent_resource_id", "persistent_resource.labels"]
    assert failure.value.message.endswith("encoded in UTF-8.\t")


CUSTOM_TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"


def pipeline(**changes: Any) -> Job:
    """A training pipeline as the SDK sends it; the spec's fields may be in either spelling."""
    pool = {
        "replica_count": 1,
        "machineSpec": {"machine_type": "n1-standard-4"},
        "container_spec": {"imageUri": "oci:/images:demo"},
    }
    inputs = {"worker_pool_specs": [pool], "baseOutputDirectory": {"output_uri_prefix": "gs://local/x"}}
    return {"display_name": "p", "training_task_definition": CUSTOM_TASK, "training_task_inputs": inputs, **changes}


def test_a_training_pipeline_is_its_job(local: Any) -> None:
    """It names its custom job, has its state, times and error, is listed, cancelled and deleted."""
    client = PipelineServiceClient(transport=PipelineServiceGrpcTransport(channel=local.channel()))
    made = client.create_training_pipeline(parent=local.parent, training_pipeline=pipeline(labels={"a": "b"}))
    job = local.jobs().get_custom_job(name=made.training_task_metadata["backingCustomJob"])
    local.runner.end(last(job.name), "JOB_STATE_FAILED", 3, "exited")
    failed = client.get_training_pipeline(name=made.name)
    other = client.create_training_pipeline(parent=local.parent, training_pipeline=pipeline())
    client.cancel_training_pipeline(name=other.name)

    def listed(text: str) -> list[str]:
        return [one.name for one in client.list_training_pipelines({"parent": local.parent, "filter": text})]

    assert made.state == PipelineState.PIPELINE_STATE_PENDING
    assert job.display_name == "p-custom-job"
    assert (failed.state, failed.error.message) == (PipelineState.PIPELINE_STATE_FAILED, "exited")
    assert failed.end_time is not None
    assert listed("") == [other.name, made.name]
    assert listed('state="PIPELINE_STATE_FAILED" AND labels.a=b') == [made.name]
    assert listed("labels.a:* AND NOT display_name=p") == []
    local.jobs().delete_custom_job(name=job.name).result()
    assert client.get_training_pipeline(name=made.name).state == PipelineState.PIPELINE_STATE_FAILED
    client.delete_training_pipeline(name=made.name).result()
    with pytest.raises(exceptions.NotFound, match=r"The TrainingPipeline does not exist\."):
        client.get_training_pipeline(name=made.name)


@pytest.mark.parametrize(
    ("changes", "error", "part"),
    [
        ({"display_name": ""}, exceptions.InvalidArgument, "display_name"),
        ({"training_task_inputs": {"worker_pool_specs": 5}}, exceptions.InvalidArgument, "training_task_inputs"),
        ({"training_task_inputs": {"worker_pool_specs": []}}, exceptions.InvalidArgument, "worker pool"),
        ({"training_task_inputs": {"x": float("nan")}}, exceptions.InvalidArgument, "finite"),
        ({"training_task_inputs": 5}, exceptions.InvalidArgument, "training_task_inputs"),
        ({"training_task_definition": "gs://x/automl"}, exceptions.MethodNotImplemented, "custom_task_1"),
        ({"input_data_config": {"dataset_id": "1"}}, exceptions.MethodNotImplemented, "input_data_config"),
    ],
)
def test_a_bad_training_pipeline_is_refused(local: Any, changes: Job, error: type[Exception], part: str) -> None:
    """The error names the field; neither a pipeline nor a job is there."""
    client = PipelineServiceClient(transport=PipelineServiceGrpcTransport(channel=local.channel()))
    with pytest.raises(error, match=part):
        client.create_training_pipeline(parent=local.parent, training_pipeline=pipeline(**changes))

    assert list(client.list_training_pipelines(parent=local.parent)) == []
    assert local.store.find() == []


# Operations, locations, and what isn't served


def test_operations(rest: Any, job: Job) -> None:
    """They are listed, waited for and deleted; none can be cancelled, with the recorded text."""
    base = JOBS.replace("customJobs", "operations")
    names = []
    for _ in range(3):
        made = rest.jobs().create_custom_job(parent=rest.parent, custom_job=job)
        rest.runner.end(last(made.name))
        names.append(call(rest, "DELETE", f"{JOBS}/{last(made.name)}")[1]["name"])
    first = call(rest, "GET", f"{base}?pageSize=2")[1]
    rest_of_them = call(rest, "GET", f"{base}?pageSize=2&pageToken={first['nextPageToken']}")[1]

    found = [operation["name"] for page in (first, rest_of_them) for operation in page["operations"]]
    assert sorted(found) == sorted(names)
    assert call(rest, "POST", f"/v1/{names[0]}:wait", {"timeout": "1s"})[1]["done"]
    status, answer = call(rest, "POST", f"{base}/1:cancel", {})
    name = base.removeprefix("/v1/")
    assert (status, answer["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert answer["error"]["message"] == f"Operation {name}/1 is not cancellable."
    assert call(rest, "DELETE", f"/v1/{names[0]}") == (200, {})
    assert call(rest, "GET", f"/v1/{names[0]}")[0] == 404


def test_locations(rest: Any) -> None:
    """The served ones are listed and read."""
    listed = call(rest, "GET", "/v1/projects/local/locations")[1]["locations"]

    assert [place["locationId"] for place in listed] == ["us-central1"]
    assert call(rest, "GET", "/v1/projects/local/locations/us-central1")[1] == listed[0]
    assert call(rest, "GET", "/v1/projects/local/locations/mars-north1")[0] == 400


def test_what_is_not_served_says_what_is(rest: Any) -> None:
    """UNIMPLEMENTED over both transports; without the token UNAUTHENTICATED, whatever is called."""
    client = TensorboardServiceClient(transport=TensorboardServiceGrpcTransport(channel=rest.channel()))
    with pytest.raises(exceptions.MethodNotImplemented, match="local_vertex serves custom jobs"):
        client.list_tensorboards(parent=rest.parent)
    status, answer = call(rest, "GET", JOBS.replace("customJobs", "tensorboards"))

    assert (status, answer["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert "local_vertex serves custom jobs" in answer["error"]["message"]
    with grpc.insecure_channel(rest.service.tcp_target) as channel:
        for method in ("/google.cloud.aiplatform.v1.JobService/GetCustomJob", "/none.Service/None"):
            with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
                channel.unary_unary(method)(b"")
            with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
                list(channel.stream_stream(method)(iter([b""])))
    for path in ("/", "/v1/none", JOBS):
        assert call(rest, "PATCH", path, {}, token=False)[0] == 401
