"""The methods of JobService over gRPC, called with Google's client."""

from __future__ import annotations

import asyncio
import copy
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1 import JobServiceAsyncClient, JobServiceClient
from google.cloud.aiplatform_v1.services.job_service.transports import (
    JobServiceGrpcAsyncIOTransport,
    JobServiceGrpcTransport,
)
from google.cloud.aiplatform_v1.types import CustomJob, JobState
from prefect_vertex_training.core.errors import StorageError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import server
from prefect_vertex_training.local_vertex.client import open_channel, set_faults
from prefect_vertex_training.local_vertex.endpoint import Options

Job = dict[str, Any]


def create(local: Any, job: Job, **changes: Any) -> CustomJob:
    """Creates a job with changed fields."""
    return local.jobs().create_custom_job(parent=local.parent, custom_job={**job, **changes})


def last(name: str) -> str:
    """The last part of a resource name."""
    return name.rpartition("/")[2]


def test_a_created_job_is_pending_and_named_by_the_project_number(local: Any, job: Job) -> None:
    """The response has the project's number, even if the id was sent; output-only fields of the request are ignored."""
    sent = {**job, "labels": {"a": "b"}, "name": "mine", "state": JobState.JOB_STATE_FAILED, "error": {"message": "x"}}
    made = local.jobs().create_custom_job(parent=local.parent, custom_job=sent)

    place = f"projects/{local.service.project_number}/locations/us-central1/customJobs"
    assert re.fullmatch(rf"{place}/\d{{19}}", made.name)
    assert (made.state, made.labels, made.error.message) == (JobState.JOB_STATE_PENDING, {"a": "b"}, "")
    disk = {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": 100}
    job["job_spec"]["worker_pool_specs"][0]["disk_spec"] = disk
    assert made.job_spec == CustomJob(job).job_spec
    assert made == local.jobs().get_custom_job(name=made.name)


def test_a_job_is_found_by_the_project_id_too(local: Any, job: Job) -> None:
    """Requests may use the project's id or number."""
    made = create(local, job)
    by_id = f"{local.parent}/customJobs/{last(made.name)}"

    assert local.jobs().get_custom_job(name=by_id) == made


def test_times_have_the_precision_of_the_real_service(local: Any, job: Job) -> None:
    """Create times have microseconds, start and end times whole seconds; the error is the stored one."""
    made = create(local, job)
    local.runner.end(last(made.name), "JOB_STATE_FAILED", 3, "The replica workerpool0-0 exited")
    found = local.jobs().get_custom_job(name=made.name)

    assert found.state == JobState.JOB_STATE_FAILED
    assert (found.error.code, found.error.message) == (3, "The replica workerpool0-0 exited")
    assert found.start_time.microsecond == found.end_time.microsecond == 0
    assert found.create_time == made.create_time
    assert found.update_time >= found.create_time


def test_cancel_ends_cancelled_and_is_fine_twice(local: Any, job: Job) -> None:
    """Cancelling an ended job is an error only with `cancel_of_ended_fails`."""
    jobs, made = local.jobs(), create(local, job)
    jobs.cancel_custom_job(name=made.name)
    found = jobs.get_custom_job(name=made.name)
    jobs.cancel_custom_job(name=made.name)

    assert (found.state, found.error.code) == (JobState.JOB_STATE_CANCELLED, 1)
    assert local.runner.cancelled == [last(made.name)]
    local.runner.faults.update({"cancel_of_ended_fails": True})
    with pytest.raises(exceptions.FailedPrecondition):
        jobs.cancel_custom_job(name=made.name)


def test_delete_is_an_operation(local: Any, job: Job) -> None:
    """The operation is done, GetOperation returns it, and the job no longer exists."""
    jobs, made = local.jobs(), create(local, job)
    with pytest.raises(exceptions.FailedPrecondition, match="cancel it first"):
        jobs.delete_custom_job(name=made.name)
    local.runner.end(last(made.name))
    operation = jobs.delete_custom_job(name=made.name)
    operation.result(timeout=60)

    assert jobs.get_operation({"name": operation.operation.name}).done
    assert operation.metadata.generic_metadata.create_time
    assert local.runner.forgotten == [last(made.name)]
    for call in (jobs.get_custom_job, jobs.delete_custom_job, jobs.cancel_custom_job):
        with pytest.raises(exceptions.NotFound):
            call(name=made.name)
    with pytest.raises(exceptions.NotFound):
        jobs.get_operation({"name": operation.operation.name + "0"})


def test_lists_are_newest_first_and_paged(local: Any, job: Job) -> None:
    """Pages neither skip nor repeat jobs, even if a job is created in between."""
    names = [create(local, job, display_name=f"job {number}").name for number in range(7)]
    request = {"parent": local.parent, "page_size": 3}
    first = local.jobs().list_custom_jobs(request)._response
    create(local, job, display_name="late")
    second = local.jobs().list_custom_jobs({**request, "page_token": first.next_page_token})._response
    third = local.jobs().list_custom_jobs({**request, "page_token": second.next_page_token})._response

    pages = [[found.name for found in page.custom_jobs] for page in (first, second, third)]
    assert pages == [names[6:3:-1], names[3:0:-1], names[:1]]
    assert third.next_page_token == ""
    assert len(list(local.jobs().list_custom_jobs(request))) == 8


def test_lists_are_filtered(local: Any, job: Job) -> None:
    """By label, as for an exactly-once submission, and by the filters of Google's tools."""
    made = create(local, job, labels={"key": "k1"})
    ended = create(local, job, labels={"key": "k1"})
    create(local, job, labels={"key": "k2"})
    local.runner.end(last(ended.name))
    live = (
        '(state!="JOB_STATE_SUCCEEDED" AND state!="JOB_STATE_FAILED" AND state!="JOB_STATE_CANCELLED")'
        " AND labels.key=k1"
    )

    def listed(text: str) -> list[str]:
        return [found.name for found in local.jobs().list_custom_jobs({"parent": local.parent, "filter": text})]

    assert listed("labels.key=k1") == [ended.name, made.name]
    assert listed(live) == [made.name]
    assert listed('labels.key:* AND NOT labels.key="k1" AND state="JOB_STATE_SUCCEEDED"') == []


def test_a_read_mask_leaves_the_rest_out(local: Any, job: Job) -> None:
    """The response has only the fields of the mask."""
    made = create(local, job, labels={"a": "b"})
    request = {"parent": local.parent, "read_mask": {"paths": ["name", "state"]}}

    assert list(local.jobs().list_custom_jobs(request)) == [CustomJob(name=made.name, state=made.state)]


@pytest.mark.parametrize(
    ("request_fields", "field", "part"),
    [
        ({"filter": "nonsense"}, "filter", "operator"),
        ({"filter": "color=red"}, "filter", "color"),
        ({"page_size": -1}, "page_size", "negative"),
        ({"page_token": "!"}, "page_token", "not valid"),
        ({"page_token": "bm8="}, "page_token", "not valid"),
        ({"read_mask": {"paths": ["nothing"]}}, "read_mask", "nothing"),
        ({"parent": "projects/local"}, "parent", "projects/local"),
    ],
)
def test_a_bad_list_is_refused(local: Any, request_fields: Job, field: str, part: str) -> None:
    """The error is INVALID_ARGUMENT with the field in its details."""
    with pytest.raises(exceptions.InvalidArgument, match=part) as failure:
        local.jobs().list_custom_jobs({"parent": local.parent, **request_fields})

    assert [violation.field for violation in failure.value.details[0].field_violations] == [field]


def test_a_page_token_belongs_to_its_query(local: Any, job: Job) -> None:
    """With another filter the token is rejected."""
    for _ in range(3):
        create(local, job)
    token = local.jobs().list_custom_jobs({"parent": local.parent, "page_size": 1})._response.next_page_token
    other = {"parent": local.parent, "page_token": token, "filter": 'display_name="x"'}
    with pytest.raises(exceptions.InvalidArgument, match="not valid for this query"):
        local.jobs().list_custom_jobs(other)


def test_another_region_or_project_is_refused(local: Any, job: Job) -> None:
    """The error has the recorded text."""
    text = "1.Field: parent; Message: The provided location ID doesn't match the endpoint."
    with pytest.raises(exceptions.InvalidArgument, match=re.escape(text)) as failure:
        local.jobs().create_custom_job(parent="projects/local/locations/europe-west4", custom_job=job)
    assert "The valid location ID is `us-central1`." in failure.value.message
    denied = "Permission 'aiplatform.customJobs.create' denied on resource"
    with pytest.raises(exceptions.PermissionDenied, match=denied):
        local.jobs().create_custom_job(parent="projects/other/locations/us-central1", custom_job=job)
    assert local.store.live() == []


def test_the_async_client_works(local: Any, job: Job) -> None:
    """Create, get, list, cancel and delete through JobServiceAsyncClient."""

    async def use() -> list[int]:
        async with grpc.aio.insecure_channel(local.service.target) as channel:
            jobs = JobServiceAsyncClient(transport=JobServiceGrpcAsyncIOTransport(channel=channel))
            made = await jobs.create_custom_job(parent=local.parent, custom_job=job)
            states = [made.state]
            await jobs.cancel_custom_job(name=made.name)
            states += [found.state async for found in await jobs.list_custom_jobs(parent=local.parent)]
            states.append((await jobs.get_custom_job(name=made.name)).state)
            await (await jobs.delete_custom_job(name=made.name)).result()
            return states

    cancelled = JobState.JOB_STATE_CANCELLED
    assert asyncio.run(use()) == [JobState.JOB_STATE_PENDING, cancelled, cancelled]
    assert local.store.find() == []


# Faults


def test_a_lost_create_made_its_job(local: Any, job: Job) -> None:
    """The call returns UNAVAILABLE, but the job exists: the case that exactly-once submission must handle."""
    set_faults(local.service, {"create_lost": 1})
    with pytest.raises(exceptions.ServiceUnavailable):
        create(local, job, labels={"key": "k"})

    found = local.jobs().list_custom_jobs({"parent": local.parent, "filter": "labels.key=k"})
    assert len(list(found)) == 1
    create(local, job)


def test_a_burst_of_unavailable_does_nothing(local: Any, job: Job) -> None:
    """The next N calls fail and later ones succeed; the fault can be limited to one method."""
    set_faults(local.service, {"unavailable": 2, "fault_method": "CreateCustomJob"})
    assert list(local.jobs().list_custom_jobs(parent=local.parent)) == []
    for _ in range(2):
        with pytest.raises(exceptions.ServiceUnavailable):
            create(local, job)

    assert local.store.live() == []
    create(local, job)


@pytest.mark.parametrize(
    ("machine", "metric"),
    [
        ({"machine_type": "n1-standard-4"}, "custom_model_training_cpus"),
        (
            {"machine_type": "g2-standard-4", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1},
            "custom_model_training_nvidia_l4_gpus",
        ),
    ],
)
def test_an_exhausted_quota_names_its_metric(local: Any, job: Job, machine: Job, metric: str) -> None:
    """CreateCustomJob returns RESOURCE_EXHAUSTED with the recorded text and creates nothing."""
    job["job_spec"]["worker_pool_specs"][0]["machine_spec"] = machine
    local.runner.faults.update({"resource_exhausted": 1})
    text = f"The following quota metrics exceed quota limits: aiplatform.googleapis.com/{metric}"
    with pytest.raises(exceptions.ResourceExhausted, match=re.escape(text)):
        create(local, job)

    assert local.store.live() == []


def test_the_rates_of_the_real_service(local: Any, job: Job) -> None:
    """After 60 submissions in a minute, the next is RESOURCE_EXHAUSTED; reads have their own quota."""
    local.runner.faults.update({"quotas": True, "submissions_per_minute": 5.0})
    jobs = local.jobs()
    for _ in range(5):
        jobs.create_custom_job(parent=local.parent, custom_job=job)
    with pytest.raises(exceptions.ResourceExhausted, match="Quota exceeded"):
        jobs.create_custom_job(parent=local.parent, custom_job=job)

    assert len(list(jobs.list_custom_jobs(parent=local.parent))) == 5


def test_a_list_can_lag(local: Any, job: Job) -> None:
    """GetCustomJob returns a new job before it appears in lists."""
    local.runner.faults.update({"list_lag_seconds": 3600.0})
    made = create(local, job)
    local.jobs().get_custom_job(name=made.name)

    assert list(local.jobs().list_custom_jobs(parent=local.parent)) == []
    local.runner.faults.update({"list_lag_seconds": 0.0})
    assert len(list(local.jobs().list_custom_jobs(parent=local.parent))) == 1


def test_refusals_of_a_cloud_project(local: Any, job: Job) -> None:
    """A service account, a bucket's location and an endpoint's region are refused with the recorded texts."""
    job["job_spec"]["service_account"] = "x@y"
    job["job_spec"]["base_output_directory"] = {"output_uri_prefix": "gs://bucket/out"}
    faults = local.runner.faults
    faults.update({"refused_service_account": "x@y"})
    with pytest.raises(exceptions.InvalidArgument, match="permission to act as service_account: x@y"):
        create(local, job)
    faults.update({"refused_service_account": "", "bucket_location": "us"})
    with pytest.raises(exceptions.FailedPrecondition, match="bucket of `gs://bucket/out` is in location `us`"):
        create(local, job)
    faults.update({"bucket_location": "", "endpoint_region": "europe-west4"})
    with pytest.raises(exceptions.InvalidArgument, match="valid location ID is `europe-west4`"):
        create(local, job)

    assert local.store.live() == []


def test_a_bad_switch_changes_nothing(local: Any) -> None:
    """An invalid value changes nothing, even if other values are valid."""
    from prefect_vertex_training.core.errors import LocalServiceError

    for bad in (
        {"nothing": 1},
        {"stock_out": -1},
        {"stock_out": "many"},
        {"quotas": 1},
        {"pending_seconds": float("inf")},
    ):
        with pytest.raises(LocalServiceError, match=next(iter(bad))):
            set_faults(local.service, {"preempt": 1, **bad})

    assert set_faults(local.service, {})["preempt"] == 0


# Faults of this machine


def test_a_full_disk_is_reported_to_the_client(local: Any, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is FAILED_PRECONDITION, which clients don't retry, and no job is created."""

    def full(record: object) -> None:
        raise StorageError("the store of local jobs can't be used: database or disk is full")

    monkeypatch.setattr(local.store, "create", full)
    with pytest.raises(exceptions.FailedPrecondition, match="disk is full"):
        create(local, job)


def test_an_unexpected_error_is_internal(local: Any, job: Job, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """The client gets INTERNAL without details; the service's log has the traceback."""

    def broken(record: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(local.store, "create", broken)
    with pytest.raises(exceptions.InternalServerError) as failure:
        create(local, job)

    assert "oops" not in failure.value.message
    assert "ZeroDivisionError: oops" in capfd.readouterr().err


def test_an_executor_that_can_not_start_is_reported(local_home: Home) -> None:
    """Methods that change a job return the error; others still work."""

    def broken(*_: object, **__: object) -> None:
        raise StorageError("can't write", where="/full")

    options = Options(home=str(local_home.root))
    with server.serving(options, threading.Event(), create_runner=broken) as service, open_channel(service) as channel:
        jobs = JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))
        assert list(jobs.list_custom_jobs(parent=service.parent)) == []
        with pytest.raises(exceptions.FailedPrecondition, match=r"can't write \(/full\)"):
            jobs.create_custom_job(parent=service.parent, custom_job={"display_name": "x"})


# Over TCP


def test_tcp_needs_the_token(start_local: Callable[..., Any], job: Job) -> None:
    """Calls without it, or with another one, are UNAUTHENTICATED; the unix socket needs no token."""
    local = start_local(tcp=True)
    assert local.service.tcp_target.startswith("127.0.0.1:")
    local.jobs(tcp=True).create_custom_job(parent=local.parent, custom_job=job)
    assert len(list(local.jobs().list_custom_jobs(parent=local.parent))) == 1
    for metadata in ([], [("authorization", "Bearer wrong")], [("authorization", f"Basic {local.service.token}")]):
        with grpc.insecure_channel(local.service.tcp_target, options=[("grpc.enable_http_proxy", 0)]) as channel:
            jobs = JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))
            with pytest.raises(exceptions.Unauthenticated):
                jobs.list_custom_jobs(parent=local.parent, metadata=metadata)
            stop = channel.unary_unary("/prefect_vertex_training.local.Admin/Stop")
            with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
                stop(b"{}", metadata=metadata)


def test_create_time_filters_agree_with_what_was_answered(local: Any, job: Job) -> None:
    """A create time of a response selects the job when it is used in a filter."""
    made = create(local, job)
    moment = datetime.fromtimestamp(made.create_time.timestamp(), UTC)
    text = f'create_time="{moment.isoformat(timespec="microseconds")}"'

    assert [found.name for found in local.jobs().list_custom_jobs({"parent": local.parent, "filter": text})] == [
        made.name
    ]
    assert time.time() - made.create_time.timestamp() < 60
    assert copy.deepcopy(made) == made
