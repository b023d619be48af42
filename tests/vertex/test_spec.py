"""A request as Google's message, and every limit named before anything is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.cloud.aiplatform_v1 import AcceleratorType
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.vertex.machines import check_machine
from prefect_vertex_training.vertex.model import JobRequest, Machine
from prefect_vertex_training.vertex.spec import check, check_label_value, to_custom_job

LONG = "ü" * 129


def test_everything_arrives_in_the_message(request_: JobRequest) -> None:
    """Image, arguments, environment, machine, replicas, time limit, output, account and network."""
    job = to_custom_job(
        replace(
            request_,
            command=["python"],
            env={"A": "$(B)"},
            labels={"team": "x"},
            machine=Machine("g2-standard-24", "NVIDIA_L4", 2, 200),
            replicas=3,
            timeout=90.5,
            service_account="t@p.iam.gserviceaccount.com",
            network="projects/1/global/networks/n",
        )
    )

    spec = job.job_spec
    primary, workers = spec.worker_pool_specs
    assert (primary.replica_count, workers.replica_count) == (1, 2)
    assert primary.container_spec == workers.container_spec
    assert [request_.image, ["python"], ["--epochs", "3"]] == [
        primary.container_spec.image_uri,
        list(primary.container_spec.command),
        list(primary.container_spec.args),
    ]
    assert [(e.name, e.value) for e in primary.container_spec.env] == [("A", "$(B)")]
    assert (
        primary.machine_spec.machine_type,
        primary.machine_spec.accelerator_type,
        primary.machine_spec.accelerator_count,
        primary.disk_spec.boot_disk_size_gb,
    ) == ("g2-standard-24", AcceleratorType.NVIDIA_L4, 2, 200)
    assert spec.scheduling.timeout.seconds == 91  # pyright: ignore[reportAttributeAccessIssue]
    assert (job.display_name, dict(job.labels)) == ("digits", {"team": "x"})
    assert spec.base_output_directory.output_uri_prefix == "gs://bucket/out"
    assert (spec.service_account, spec.network) == ("t@p.iam.gserviceaccount.com", "projects/1/global/networks/n")


def test_a_small_request_leaves_the_images_command_alone(request_: JobRequest) -> None:
    """No command, no accelerator, one pool."""
    job = to_custom_job(request_)

    (pool,) = job.job_spec.worker_pool_specs
    assert list(pool.container_spec.command) == []
    assert pool.machine_spec.accelerator_count == 0


def test_too_long_arguments_name_length_limit_and_way_out(request_: JobRequest) -> None:
    """One line with the length, the limit and what to do instead."""
    with pytest.raises(VertexError) as caught:
        check(replace(request_, args=["x" * 60_000, "y" * 40_001]))

    said = str(caught.value)
    assert "the 2 arguments have 100,001 characters together, the limit is 100,000" in said
    assert "Put long values into a file of the project" in said
    assert len(said) < 400


LIMITS = [
    ({"display_name": ""}, "display name has 0 characters"),
    ({"display_name": LONG}, "display name has 129 characters"),
    ({"image": "repo/image:latest"}, "not named by digest"),
    ({"image": ""}, "not named by digest"),
    ({"image": f"oci:/images:x@sha256:{'a' * 64}"}, "lies in a folder on this machine"),
    ({"output": "/tmp/out"}, "not a Cloud Storage folder"),
    ({"output": ""}, "not a Cloud Storage folder"),
    ({"output": "gs://UPPER/x"}, "not a Cloud Storage folder"),
    ({"args": ["x" * 100_001]}, "100,001 characters together"),
    ({"args": ["a\0b"]}, "NUL character"),
    ({"env": {f"V{i}": "" for i in range(101)}}, "101 environment variables"),
    ({"env": {"1A": "", "A-B": "", "": ""}}, "'1A', 'A-B', ''"),
    ({"labels": {"Team": "x"}}, "label keys: 'Team'"),
    ({"labels": {"1team": "x"}}, "label keys: '1team'"),
    ({"labels": {"k" * 64: "x"}}, "label keys"),
    ({"labels": {"team": "v" * 64}}, "label values"),
    ({"labels": {"team": "a b"}}, "label values: 'team=a b'"),
    ({"labels": {f"k{i}": "" for i in range(65)}}, "65 labels"),
    ({"machine": Machine("custom-4-2048")}, "'custom-4-2048' is not offered"),
    ({"machine": Machine("n1-standard-2")}, "'n1-standard-2' is not offered"),
    ({"machine": Machine("c3-standard-4")}, "'c3-standard-4' is not offered"),
    ({"machine": Machine("n2d-standard-4")}, "'n2d-standard-4' is not offered"),
    ({"machine": Machine(boot_disk_gb=99)}, "99 GB"),
    ({"machine": Machine("g2-standard-4", "NVIDIA_L4", 0)}, "both needed, or neither"),
    ({"machine": Machine("g2-standard-4", None, 1)}, "both needed, or neither"),
    ({"machine": Machine("g2-standard-4", "NVIDIA_L4", 2)}, "comes with 1 x NVIDIA_L4, not with 2"),
    ({"machine": Machine("g2-standard-4", "NVIDIA_TESLA_T4", 1)}, "comes with NVIDIA_L4, not with NVIDIA_TESLA_T4"),
    ({"machine": Machine("a2-megagpu-16g", "NVIDIA_TESLA_A100", 8)}, "comes with 16 x"),
    ({"machine": Machine("n1-standard-4", "NVIDIA_TESLA_K80", 1)}, "'NVIDIA_TESLA_K80' is not offered on"),
    ({"machine": Machine("n1-standard-4", "NVIDIA_TESLA_T4", 3)}, "1, 2, 4 are"),
    ({"machine": Machine("e2-standard-4", "NVIDIA_TESLA_T4", 1)}, "takes no accelerator"),
    ({"replicas": 0}, "0 replicas"),
    ({"timeout": 0}, "time limit is 0 s"),
    ({"timeout": float("inf")}, "time limit is inf s"),
]


@pytest.mark.parametrize(("change", "said"), LIMITS)
def test_every_limit_is_checked(request_: JobRequest, change: dict[str, object], said: str) -> None:
    """Each broken limit is one line that names the value and gives a next step."""
    with pytest.raises(VertexError) as caught:
        to_custom_job(replace(request_, **change))  # pyright: ignore[reportArgumentType]

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.next_step
    assert not caught.value.transient


def test_all_broken_limits_are_named_at_once(request_: JobRequest) -> None:
    """Nobody mends one thing after the other by trial."""
    with pytest.raises(VertexError) as caught:
        check(replace(request_, display_name="", replicas=0, labels={"A": ""}))

    assert all(
        part in str(caught.value) for part in ("1. the display name", "2. not valid as label keys", "3. 0 replicas")
    )


def test_an_image_in_a_folder_is_fine_on_this_machine(request_: JobRequest) -> None:
    """local_vertex runs what lies in the layout."""
    check(replace(request_, image=f"oci:/images:x@sha256:{'a' * 64}"), local=True)


@pytest.mark.parametrize(
    "machine",
    [
        Machine(),
        Machine("e2-standard-4"),
        Machine("n4-highmem-8"),
        Machine("m1-ultramem-40"),
        Machine("ct5lp-hightpu-4t"),
        Machine("g2-standard-96", "NVIDIA_L4", 8),
        Machine("a3-highgpu-1g", "NVIDIA_H100_80GB", 1),
        Machine("a3-megagpu-8g", "NVIDIA_H100_MEGA_80GB", 8),
        Machine("a4-highgpu-8g", "NVIDIA_B200", 8),
        Machine("n1-standard-8", "NVIDIA_TESLA_V100", 8),
    ],
    ids=lambda machine: machine.machine_type,
)
def test_offered_machines_pass(machine: Machine) -> None:
    """What Vertex AI offers is not refused here."""
    assert list(check_machine(machine)) == []


@given(args=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)))
def test_arguments_pass_unchanged(args: list[str]) -> None:
    """No argument is split, quoted or trimmed on its way."""
    request = JobRequest("n", f"r/i@sha256:{'0' * 64}", "gs://b/o", args=args)

    assert args == list(to_custom_job(request).job_spec.worker_pool_specs[0].container_spec.args)


@given(value=st.text())
def test_label_values_are_judged_as_the_service_does(value: str) -> None:
    """Lowercase letters, digits, `_`, `-`, at most 63; here not empty."""
    fits = 0 < len(value) <= 63 and all(c in "abcdefghijklmnopqrstuvwxyz0123456789_-" for c in value)
    try:
        check_label_value(value)
    except VertexError:
        assert not fits
    else:
        assert fits
