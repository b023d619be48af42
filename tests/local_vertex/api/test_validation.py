"""Validation of CustomJobs: every documented limit, with the code, text and details of the real service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1.types import CustomJob, Scheduling
from google.protobuf.duration_pb2 import Duration

Job = dict[str, Any]
POOLS = "job_spec.worker_pool_specs"
LABELS = "custom_job.labels"
L4 = {"machine_type": "g2-standard-4", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}


def pool(job: Job) -> Job:
    """The first pool."""
    return job["job_spec"]["worker_pool_specs"][0]


def container(job: Job, **fields: Any) -> None:
    """Changes the first pool's container."""
    pool(job)["container_spec"].update(fields)


def machine(job: Job, *spec: Any) -> None:
    """Sets type, accelerator and count."""
    pool(job)["machine_spec"] = dict(zip(("machine_type", "accelerator_type", "accelerator_count"), spec, strict=False))


def package(job: Job, **fields: Any) -> None:
    """Makes the first pool one of a Python package."""
    pool(job).pop("container_spec")
    good = {"executor_image_uri": "x/y", "package_uris": ["gs://local/a-0.1.tar.gz"], "python_module": "a.b"}
    pool(job)["python_package_spec"] = {**good, **fields}


def scheduling(job: Job, **fields: Any) -> None:
    """Sets the scheduling."""
    job["job_spec"]["scheduling"] = fields


def flex(job: Job, *machines: Job, **fields: Any) -> None:
    """Sets the strategy FLEX_START and these machines."""
    first = pool(job)
    job["job_spec"]["worker_pool_specs"] = [{**first, "machine_spec": spec} for spec in machines or [L4]]
    scheduling(job, strategy=Scheduling.Strategy.FLEX_START, **fields)


def pools(job: Job, *counts: int) -> None:
    """Sets worker pools of these sizes; 0 skips one."""
    job["job_spec"]["worker_pool_specs"] = [{**pool(job), "replica_count": count} if count else {} for count in counts]


def submit(local: Any, job: Job) -> CustomJob:
    """Creates the job."""
    return local.jobs().create_custom_job(parent=local.parent, custom_job=job)


ACCEPTED: dict[str, Callable[[Job], object]] = {
    "128 letters of any script": lambda job: job.update(display_name="ß" * 128),
    "labels of 63 characters": lambda job: job.update(labels={"k" * 63: "v" * 63, "a_b-c9": ""}),
    "international labels": lambda job: job.update(labels={"größe": "大"}),
    "100 variables": lambda job: container(job, env=[{"name": f"V_{n}", "value": "x"} for n in range(100)]),
    "100,000 characters of arguments": lambda job: container(job, args=["x" * 50_000] * 2),
    "four pools, one skipped": lambda job: pools(job, 1, 0, 2, 1),
    "a T4 on an n1": lambda job: machine(job, "n1-standard-8", "NVIDIA_TESLA_T4", 4),
    "eight V100": lambda job: machine(job, "n1-highmem-96", "NVIDIA_TESLA_V100", 8),
    "an L4 on a g2": lambda job: machine(job, "g2-standard-48", "NVIDIA_L4", 4),
    "H100": lambda job: machine(job, "a3-highgpu-8g", "NVIDIA_H100_80GB", 8),
    "a TPU": lambda job: machine(job, "ct5lp-hightpu-4t"),
    "flex start": lambda job: flex(job, max_wait_duration={"seconds": 0}, timeout={"seconds": 7 * 24 * 3600}),
    "spot": lambda job: scheduling(job, strategy=Scheduling.Strategy.SPOT),
    "a deprecated strategy": lambda job: scheduling(job, strategy=Scheduling.Strategy.ON_DEMAND),
    "an output folder": lambda job: job["job_spec"].update(
        base_output_directory={"output_uri_prefix": "gs://local/a b"}
    ),
    "a tag": lambda job: container(job, image_uri="europe-west4-docker.pkg.dev/p/r/image:1.0"),
    "a digest": lambda job: container(job, image_uri="127.0.0.1:5000/a/b@sha256:" + "a" * 64),
    "a layout": lambda job: container(job, image_uri="oci:/home/ü/images:demo@sha256:" + "a" * 64),
    "arguments that look like shell": lambda job: container(job, args=["; rm -rf /", "$(id)", "-v"]),
}


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED)
def test_what_the_limits_allow_is_accepted(local: Any, job: Job, change: Callable[[Job], object]) -> None:
    """A value at the limit is accepted and stored unchanged, with the disk that a machine gets by default."""
    change(job)
    expected = CustomJob(job).job_spec
    for spec in expected.worker_pool_specs:
        if spec.container_spec.image_uri:
            spec.disk_spec = {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": 100}

    assert submit(local, job).job_spec == expected


REFUSED: dict[str, tuple[Callable[[Job], object], str, str]] = {
    "no display name": (lambda job: job.pop("display_name"), "display_name", "required"),
    "129 characters": (lambda job: job.update(display_name="x" * 129), "display_name", "128 characters"),
    "an uppercase label": (lambda job: job.update(labels={"Key": "v"}), LABELS, "lowercase letters"),
    "an empty label key": (lambda job: job.update(labels={"": "v"}), LABELS, "start with a letter or number"),
    "a label key that begins with a dash": (lambda job: job.update(labels={"-a": "v"}), LABELS, "must start with"),
    "a long label": (lambda job: job.update(labels={"k": "v" * 64}), LABELS, "less than 64"),
    "a label of many bytes": (lambda job: job.update(labels={"k": "大" * 43}), LABELS, "128 bytes"),
    "65 labels": (lambda job: job.update(labels={f"k{n}": "" for n in range(65)}), LABELS, "no more than 64"),
    "a dot in a label": (lambda job: job.update(labels={"k": "1.0"}), LABELS, "dashes and underscores"),
    "no pools": (lambda job: job["job_spec"].clear(), POOLS, "required"),
    "an empty first pool": (lambda job: pools(job, 0, 1), POOLS, "required"),
    "five pools": (lambda job: pools(job, 1, 1, 1, 1, 1), POOLS, "At most 4"),
    "two primaries": (lambda job: pools(job, 2), f"{POOLS}[0].replica_count", "must be 1"),
    "a negative count": (lambda job: pools(job, 1, -1), f"{POOLS}[1].replica_count", "positive"),
    "no container": (lambda job: pool(job).pop("container_spec"), f"{POOLS}[0]", "container_spec"),
    "a Python package that is no file of a bucket": (
        lambda job: package(job, package_uris=["/tmp/x.tar.gz"]),
        f"{POOLS}[0].python_package_spec.package_uris[0]",
        "Cloud Storage path",
    ),
    "no package": (
        lambda job: package(job, package_uris=[]),
        f"{POOLS}[0].python_package_spec.package_uris",
        "1 to 100",
    ),
    "a module that is none": (
        lambda job: package(job, python_module="-c print()"),
        f"{POOLS}[0].python_package_spec.python_module",
        "Python module",
    ),
    "a timeout out of range": (
        lambda job: scheduling(job, timeout=Duration(seconds=315_576_000_001)),
        "job_spec.scheduling.timeout",
        "out of range",
    ),
    "a timeout of two signs": (
        lambda job: scheduling(job, timeout=Duration(seconds=10, nanos=-1)),
        "job_spec.scheduling.timeout",
        "same sign",
    ),
    "a timeout with too many nanos": (
        lambda job: scheduling(job, timeout=Duration(nanos=1_000_000_000)),
        "job_spec.scheduling.timeout",
        "out of range",
    ),
    "a timeout of 2^63 seconds": (
        lambda job: scheduling(job, timeout=Duration(seconds=2**63 - 1)),
        "job_spec.scheduling.timeout",
        "out of range",
    ),
    "a NUL in an argument": (lambda job: container(job, args=["\0"]), f"{POOLS}[0].container_spec", "NUL"),
    "a file system": (
        lambda job: pool(job).update(nfs_mounts=[{"server": "x"}]),
        f"{POOLS}[0].nfs_mounts",
        "not mounted",
    ),
    "no image": (lambda job: container(job, image_uri=""), f"{POOLS}[0].container_spec.image_uri", "``"),
    "an image that is an option": (
        lambda job: container(job, image_uri="--privileged"),
        f"{POOLS}[0].container_spec.image_uri",
        "--privileged",
    ),
    "an image with a command": (
        lambda job: container(job, image_uri="a; rm -rf /"),
        f"{POOLS}[0].container_spec.image_uri",
        "not a container image",
    ),
    "101 variables": (
        lambda job: container(job, env=[{"name": f"V{n}", "value": ""} for n in range(101)]),
        f"{POOLS}[0].container_spec.env",
        "At most 100",
    ),
    "a name that is no identifier": (
        lambda job: container(job, env=[{"name": "OK", "value": ""}, {"name": "1X", "value": ""}]),
        f"{POOLS}[0].container_spec.env[1].name",
        "`1X` is not a valid C identifier",
    ),
    "long arguments": (
        lambda job: container(job, args=["x" * 50_000, "x" * 50_001]),
        f"{POOLS}[0].container_spec.args",
        "100000",
    ),
    "no machine": (lambda job: pool(job).pop("machine_spec"), f"{POOLS}[0].machine_spec.machine_type", "required"),
    "a machine that is too small": (
        lambda job: machine(job, "n1-standard-1"),
        f"{POOLS}[0].machine_spec.machine_type",
        "`n1-standard-1` is not supported",
    ),
    "a custom machine": (
        lambda job: machine(job, "custom-4-8192"),
        f"{POOLS}[0].machine_spec.machine_type",
        "`custom-4-8192`",
    ),
    "a type without a count": (
        lambda job: machine(job, "n1-standard-4", "NVIDIA_TESLA_T4"),
        f"{POOLS}[0].machine_spec.accelerator_type",
        "Both `accelerator_type` and `accelerator_count` should be specified or none.",
    ),
    "a count without a type": (
        lambda job: machine(job, "n1-standard-4", 0, 1),
        f"{POOLS}[0].machine_spec.accelerator_type",
        "Both `accelerator_type`",
    ),
    "a small disk": (
        lambda job: pool(job).update(disk_spec={"boot_disk_size_gb": 10}),
        f"{POOLS}[0].disk_spec.boot_disk_size_gb",
        "100",
    ),
    "a negative timeout": (
        lambda job: scheduling(job, timeout={"seconds": -1}),
        "job_spec.scheduling.timeout",
        "negative",
    ),
    "a wait without flex start": (
        lambda job: scheduling(job, max_wait_duration={"seconds": 5}),
        "job_spec.scheduling.max_wait_duration",
        "FLEX_START only",
    ),
    "flex start without a GPU": (
        lambda job: flex(job, {"machine_type": "n1-standard-4"}),
        "job_spec.scheduling.strategy",
        "L4, A100",
    ),
    "flex start of two kinds": (
        lambda job: flex(job, L4, {**L4, "machine_type": "g2-standard-8"}),
        "job_spec.scheduling.strategy",
        "same machine",
    ),
    "a long flex start": (
        lambda job: flex(job, timeout={"seconds": 7 * 24 * 3600 + 1}),
        "job_spec.scheduling.timeout",
        "7 days",
    ),
    "an output that is no bucket": (
        lambda job: job["job_spec"].update(base_output_directory={"output_uri_prefix": "/tmp/out"}),
        "job_spec.base_output_directory.output_uri_prefix",
        "`/tmp/out`",
    ),
    "an output that climbs": (
        lambda job: job["job_spec"].update(base_output_directory={"output_uri_prefix": "gs://../etc"}),
        "job_spec.base_output_directory.output_uri_prefix",
        "gs://bucket/path",
    ),
}


@pytest.mark.parametrize(("change", "field", "part"), REFUSED.values(), ids=REFUSED)
def test_what_breaks_a_limit_is_refused(
    local: Any, job: Job, change: Callable[[Job], object], field: str, part: str
) -> None:
    """The error is INVALID_ARGUMENT with the recorded form and the field in its details; no job is created."""
    change(job)
    with pytest.raises(exceptions.InvalidArgument) as failure:
        submit(local, job)

    violations = failure.value.details[0].field_violations
    assert [violation.field for violation in violations] == [field]
    assert part in violations[0].description
    # Over gRPC without the blank that ends it over REST: Node would see no text at all.
    text = f"List of found errors:\t1.Field: {field}; Message: {violations[0].description}\t"
    assert failure.value.message == text
    assert local.store.find() == []


MISFITS: dict[str, tuple[tuple[Any, ...], str]] = {
    "a K80": (
        ("n1-standard-4", "NVIDIA_TESLA_K80", 1),
        'Accelerator "NVIDIA_TESLA_K80" is not supported for machine type "n1-standard-4"',
    ),
    "a GPU on an e2": (
        ("e2-standard-4", "NVIDIA_TESLA_T4", 1),
        'Accelerator "NVIDIA_TESLA_T4" is not supported for machine type "e2-standard-4"',
    ),
    "three T4": (("n1-standard-4", "NVIDIA_TESLA_T4", 3), "use 1, 2, 4"),
    "two L4 on a small g2": (("g2-standard-4", "NVIDIA_L4", 2), "use 1"),
    "another GPU on an a2": (("a2-highgpu-1g", "NVIDIA_L4", 1), "is not supported"),
    "an a3 without its GPUs": (("a3-megagpu-8g",), "NVIDIA_H100_MEGA_80GB"),
}


@pytest.mark.parametrize(("spec", "part"), MISFITS.values(), ids=MISFITS)
def test_a_machine_that_can_not_have_that_accelerator(local: Any, job: Job, spec: tuple[Any, ...], part: str) -> None:
    """The error is INVALID_ARGUMENT with the recorded text."""
    machine(job, *spec)
    with pytest.raises(exceptions.InvalidArgument) as failure:
        submit(local, job)

    assert part in failure.value.message
    assert local.store.find() == []


def test_all_invalid_fields_are_reported_at_once(local: Any, job: Job) -> None:
    """The text numbers all invalid fields, and the details list each."""
    machine(job, "c3-standard-4")
    job["display_name"] = ""
    with pytest.raises(exceptions.InvalidArgument, match=r"1\.Field: display_name.*2\.Field: job_spec") as failure:
        submit(local, job)

    assert len(failure.value.details[0].field_violations) == 2
