"""A request becomes Google's message, and every broken limit is reported before anything is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.cloud.aiplatform_v1 import AcceleratorType, Scheduling
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.errors import VertexError
from prefect_vertex_training.core.job_fields import DAY
from prefect_vertex_training.core.job_options import Machine, Pool
from prefect_vertex_training.vertex.job_types import JobDescription, JobRequest
from prefect_vertex_training.vertex.labels import check_label_value
from prefect_vertex_training.vertex.spec.custom_job import to_custom_job
from prefect_vertex_training.vertex.spec.machine_check import check_machine, unknown_size
from prefect_vertex_training.vertex.spec.request_limits import check_description, check_request

LONG = "ü" * 129


def test_everything_arrives_in_the_message(request_: JobRequest) -> None:
    """Image, arguments, environment, machine, replicas, time limit, output, account and network."""
    job = to_custom_job(
        replace(
            request_,
            command=["python"],
            env={"A": "$(B)"},
            labels={"team": "x"},
            machine=Machine("g2-standard-24", "NVIDIA_L4", 2, 200, "pd-standard"),
            replicas=3,
            timeout=90.5,
            strategy="SPOT",
            service_account="t@p.iam.gserviceaccount.com",
            network="projects/1/global/networks/n",
            tensorboard="projects/p/locations/europe-west4/tensorboards/7",
            web_access=True,
            persistent_resource="pool",
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
    assert [(e.name, e.value) for e in primary.container_spec.env] == [
        ("VERTEX_TRAINING_MODEL_DIR", "/gcs/bucket/out/model"),
        ("VERTEX_TRAINING_CHECKPOINT_DIR", "/gcs/bucket/out/checkpoints"),
        ("VERTEX_TRAINING_LOG_DIR", "/gcs/bucket/out/logs"),
        ("A", "$(B)"),
    ]
    assert (
        primary.machine_spec.machine_type,
        primary.machine_spec.accelerator_type,
        primary.machine_spec.accelerator_count,
        primary.disk_spec.boot_disk_size_gb,
        primary.disk_spec.boot_disk_type,
    ) == ("g2-standard-24", AcceleratorType.NVIDIA_L4, 2, 200, "pd-standard")
    assert spec.scheduling.timeout.seconds == 91  # pyright: ignore[reportAttributeAccessIssue]
    assert spec.scheduling.strategy == Scheduling.Strategy.SPOT
    assert spec.scheduling.disable_retries
    assert (spec.enable_web_access, spec.persistent_resource_id) == (True, "pool")
    assert spec.tensorboard == "projects/p/locations/europe-west4/tensorboards/7"
    assert (job.display_name, dict(job.labels)) == ("digits", {"team": "x"})
    assert spec.base_output_directory.output_uri_prefix == "gs://bucket/out"
    assert (spec.service_account, spec.network) == ("t@p.iam.gserviceaccount.com", "projects/1/global/networks/n")


def test_a_small_request_leaves_the_images_command_alone(request_: JobRequest) -> None:
    """No command, no accelerator, one pool."""
    job = to_custom_job(request_)

    (pool,) = job.job_spec.worker_pool_specs
    assert list(pool.container_spec.command) == []
    assert pool.machine_spec.accelerator_count == 0


def test_pools_stand_at_their_positions(request_: JobRequest) -> None:
    """Workers second, servers third, evaluators fourth; an empty pool skips one, and another image starts by itself."""
    reduction = Pool(Machine("n1-highcpu-16"), 2, "us-docker.pkg.dev/x/reductionserver:latest")
    job = to_custom_job(replace(request_, pools={"evaluator": Pool(), "server": reduction}))

    primary, workers, servers, evaluators = job.job_spec.worker_pool_specs
    assert (primary.replica_count, workers.replica_count) == (1, 0)
    assert (servers.replica_count, servers.machine_spec.machine_type) == (2, "n1-highcpu-16")
    assert (servers.container_spec.image_uri, list(servers.container_spec.args)) == (reduction.image, [])
    assert evaluators == primary


def test_the_time_limit_is_a_day(request_: JobRequest) -> None:
    """Not the seven days of Vertex AI: a script that hangs is found out tomorrow."""
    scheduling = to_custom_job(request_).job_spec.scheduling

    assert Scheduling.pb(scheduling).timeout.seconds == DAY == 24 * 3600
    assert scheduling.strategy == Scheduling.Strategy.STANDARD


@pytest.mark.parametrize(
    ("restarts", "disabled", "whole"), [("none", True, False), ("replica", False, False), ("job", False, True)]
)
def test_vertex_restarts_what_was_chosen(request_: JobRequest, restarts: str, disabled: bool, whole: bool) -> None:
    """Nothing by default: the submitter counts the attempts."""
    scheduling = to_custom_job(replace(request_, restarts=restarts)).job_spec.scheduling  # pyright: ignore[reportArgumentType]

    assert (scheduling.disable_retries, scheduling.restart_job_on_worker_restart) == (disabled, whole)


def test_flex_start_waits_as_long_as_asked_for(request_: JobRequest) -> None:
    """0 is "for ever" and is sent; nothing leaves Vertex AI's own 24 hours."""
    machine = Machine("g2-standard-8", "NVIDIA_L4", 1)
    for_ever = replace(request_, machine=machine, strategy="FLEX_START", max_wait=0)
    as_usual = replace(for_ever, max_wait=None)

    assert Scheduling.pb(to_custom_job(for_ever).job_spec.scheduling).HasField("max_wait_duration")
    assert not Scheduling.pb(to_custom_job(as_usual).job_spec.scheduling).HasField("max_wait_duration")


def test_too_long_arguments_name_length_limit_and_way_out(request_: JobRequest) -> None:
    """One line with the length, the limit and what to do instead."""
    with pytest.raises(VertexError) as caught:
        check_request(replace(request_, args=["x" * 60_000, "y" * 40_001]))

    said = str(caught.value)
    assert "the 2 arguments have 100,001 characters together, the limit is 100,000" in said
    assert "Put long values into a file of the project" in said
    assert len(said) < 400


L4 = Machine("g2-standard-8", "NVIDIA_L4", 1)
FLEX = {"strategy": "FLEX_START", "machine": L4}
BOARD = "projects/p/locations/europe-west4/tensorboards/7"
RESERVATION = "projects/p/zones/us-central1-a/reservations/mine"
ACCOUNT = {"service_account": "t@p.iam.gserviceaccount.com"}

LIMITS = [
    ({"display_name": ""}, "display_name: 0 characters"),
    ({"display_name": LONG}, "display_name: 129 characters"),
    ({"image": "repo/image:latest"}, "not named by digest"),
    ({"image": ""}, "not named by digest"),
    ({"image": f"oci:/images:x@sha256:{'a' * 64}"}, "lies in a folder on this machine"),
    ({"output": "/tmp/out"}, "not a folder in a Cloud Storage bucket"),
    ({"output": ""}, "not a folder in a Cloud Storage bucket"),
    ({"output": "gs://UPPER/x"}, "not a folder in a Cloud Storage bucket"),
    ({"args": ["x" * 100_001]}, "100,001 characters together"),
    ({"args": ["a\0b"]}, "NUL character"),
    ({"env": {f"V{i}": "" for i in range(98)}}, "env: 101 environment variables"),
    ({"env": {"1A": "", "A-B": "", "": ""}}, "'1A', 'A-B', ''"),
    ({"labels": {"Team": "x"}}, "label keys: 'Team'"),
    ({"labels": {"1team": "x"}}, "label keys: '1team'"),
    ({"labels": {"k" * 64: "x"}}, "label keys"),
    ({"labels": {"team": "v" * 64}}, "label values"),
    ({"labels": {"team": "a b"}}, "label values: 'team=a b'"),
    ({"labels": {f"k{i}": "" for i in range(62)}}, "labels: 68 labels are set, ours included"),
    ({"machine": Machine("custom-4-2048")}, "'custom-4-2048' is not offered"),
    ({"machine": Machine("n1-standard-2")}, "'n1-standard-2' is not offered"),
    ({"machine": Machine("c3-standard-4")}, "'c3-standard-4' is not offered"),
    ({"machine": Machine("n2d-standard-4")}, "'n2d-standard-4' is not offered"),
    ({"machine": Machine("a3-edgegpu-8g", "NVIDIA_H100_80GB", 8)}, "'a3-edgegpu-8g' is not offered"),
    ({"machine": Machine("n1")}, "machine_type: 'n1' is not offered"),
    (
        {"machine": Machine(boot_disk_gb=99)},
        "boot_disk_gb: 99 GB are asked for, not a whole number of gigabytes, 100 to 64,000",
    ),
    ({"machine": Machine(boot_disk_type="ssd")}, "boot_disk_type: 'ssd' is not \"pd-ssd\""),
    ({"machine": Machine("ct5lp-hightpu-4t", tpu_topology="4")}, "tpu_topology: '4'"),
    ({"machine": Machine("g2-standard-24")}, "accelerator_type: g2-standard-24 comes with 2 x NVIDIA_L4"),
    ({"pools": {"worker": Pool(Machine("n9-x"))}}, "pools.worker.machine_type: 'n9-x' is not offered"),
    ({"pools": {"server": Pool(replicas=0)}}, "pools.server.replicas: 0 replicas"),
    ({"pools": {"worker": Pool()}, "replicas": 2}, "replicas: 2 are asked for beside a worker pool"),
    ({"strategy": "LOW_COST"}, 'strategy: \'LOW_COST\' is not "STANDARD", "SPOT" or "FLEX_START"'),
    ({"strategy": "FLEX_START"}, "strategy: FLEX_START does not wait for a machine without GPU"),
    (FLEX | {"timeout": 8 * DAY}, "timeout: FLEX_START allows 7 days, 8 are asked for"),
    (
        FLEX | {"pools": {"worker": Pool(Machine("g2-standard-4", "NVIDIA_L4", 1))}},
        "strategy: FLEX_START wants the sam",
    ),
    (FLEX | {"max_wait": -1}, "max_wait: -1 s"),
    ({"max_wait": 60}, "max_wait: strategy STANDARD doesn't wait"),
    ({"restarts": "all"}, 'restarts: \'all\' is not "none", "replica" or "job"'),
    ({"service_account": "trainer"}, "service_account: 'trainer' is not a service account's e-mail address"),
    ({"network": "default"}, "network: 'default' is not a network's full name"),
    ({"tensorboard": BOARD}, "tensorboard: it needs a service_account"),
    (ACCOUNT | {"tensorboard": "board"}, "tensorboard: 'board' is not a TensorBoard's full name"),
    ({"persistent_resource": "projects/p/x"}, "persistent_resource: 'projects/p/x' is not a persistent resource's id"),
    ({"machine": Machine("g2-standard-4", "NVIDIA_L4", 0)}, "both needed, or neither"),
    ({"machine": Machine("g2-standard-4", None, 1)}, "both needed, or neither"),
    ({"machine": Machine("g2-standard-4", "NVIDIA_L4", 2)}, "comes with 1 x NVIDIA_L4, not with 2"),
    ({"machine": Machine("g2-standard-4", "NVIDIA_TESLA_T4", 1)}, "comes with NVIDIA_L4, not with NVIDIA_TESLA_T4"),
    ({"machine": Machine("a2-megagpu-16g", "NVIDIA_TESLA_A100", 8)}, "comes with 16 x"),
    ({"machine": Machine("n1-standard-4", "NVIDIA_TESLA_K80", 1)}, "NVIDIA_TESLA_K80 is no longer offered since 2024"),
    ({"machine": Machine("n1-standard-8", "NVIDIA_TESLA_P100", 1)}, "no longer offered since 2026-09-15"),
    ({"machine": Machine("n1-standard-8", "NVIDIA_TESLA_X9", 1)}, "'NVIDIA_TESLA_X9' is not offered on"),
    ({"machine": Machine("n1-standard-16", "NVIDIA_TESLA_V100", 1)}, "not offered on n1-standard-16; 2, 4, 8 are"),
    ({"machine": Machine("n1-standard-32", "NVIDIA_TESLA_T4", 1)}, "not offered on n1-standard-32; 2, 4 are"),
    ({"machine": Machine("n1-highcpu-96", "NVIDIA_TESLA_V100", 4)}, "not offered on n1-highcpu-96; 8 is"),
    ({"machine": Machine("n1-standard-64", "NVIDIA_TESLA_P4", 2)}, "not offered on n1-standard-64; 4 is"),
    ({"machine": Machine("cloud-tpu")}, "cloud-tpu needs TPU_V2 or TPU_V3"),
    ({"machine": Machine("cloud-tpu", "TPU_V2", 16)}, "8 and multiples of 32 are"),
    ({"machine": Machine("ct6e-standard-4t")}, "tpu_topology: ct6e-standard-4t needs one"),
    ({"machine": Machine("ct6e-standard-4t", tpu_topology="3x3")}, "'3x3' is not offered on ct6e-standard-4t; 2x2"),
    ({"machine": Machine("tpu7x-standard-4t", "TPU_V3", 8, tpu_topology="2x2x1")}, "takes no accelerator: its TPUs"),
    ({"machine": Machine("ct6e-standard-4t", tpu_topology="2x2"), "replicas": 2}, "one pool with one replica"),
    ({"machine": Machine("a4x-highgpu-4g", "NVIDIA_GB200", 4)}, "reservation: a4x-highgpu-4g is only to be had with"),
    ({"machine": Machine(reservation="mine")}, "reservation: 'mine' is not a reservation's full name"),
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
    """One attempt shows everything that has to be fixed."""
    with pytest.raises(VertexError) as caught:
        check_request(replace(request_, display_name="", replicas=0, labels={"A": ""}))

    assert all(
        part in str(caught.value)
        for part in ("1. display_name: 0", "2. labels: not valid as label keys", "3. replicas: 0 replicas")
    )


def test_a_tensorboard_must_be_in_the_jobs_region(request_: JobRequest) -> None:
    """Known before anything is built."""
    wanted = replace(request_, tensorboard=BOARD, service_account="t@p.iam.gserviceaccount.com")

    check_description(wanted, region="europe-west4")
    with pytest.raises(VertexError, match="tensorboard: it is in europe-west4, the job in us-central1"):
        check_description(wanted, region="us-central1")


def test_a_job_is_checked_before_it_has_an_image(request_: JobRequest) -> None:
    """All limits but the image's apply to the description alone; with the image it becomes the whole request."""
    description = JobDescription(display_name="n", output="gs://b/o", args=["x" * 100_001], labels={"A": ""})

    with pytest.raises(VertexError, match=r"1\. args: .* 2\. labels: "):
        check_description(description)
    whole = replace(description, args=["1"], labels={"a": ""}).with_image(request_.image)
    assert (whole.image, whole.display_name, whole.output, whole.args) == (request_.image, "n", "gs://b/o", ["1"])
    check_request(whole)


def test_what_this_machine_lacks_is_refused_before_the_build(request_: JobRequest) -> None:
    """local_vertex has no machines that are kept."""
    with pytest.raises(VertexError, match="persistent_resource: local_vertex has none") as caught:
        check_request(replace(request_, persistent_resource="pool"), local=True)

    assert caught.value.kind == "invalid_request"


def test_an_image_in_a_folder_is_fine_on_this_machine(request_: JobRequest) -> None:
    """local_vertex runs images from an OCI layout folder."""
    check_request(replace(request_, image=f"oci:/images:x@sha256:{'a' * 64}"), local=True)


@pytest.mark.parametrize(
    "machine",
    [
        Machine(),
        Machine("e2-standard-4"),
        Machine("n4-highmem-8"),
        Machine("m1-ultramem-40"),
        Machine("ct5lp-hightpu-4t", tpu_topology="4x8"),
        Machine("g2-standard-96", "NVIDIA_L4", 8),
        Machine("a3-highgpu-1g", "NVIDIA_H100_80GB", 1),
        Machine("a3-megagpu-8g", "NVIDIA_H100_MEGA_80GB", 8),
        Machine("a4-highgpu-8g", "NVIDIA_B200", 8),
        Machine("cloud-tpu", "TPU_V2", 8),
        Machine("cloud-tpu", "TPU_V3", 64),
        Machine("a4x-highgpu-4g", "NVIDIA_GB200", 4, reservation=RESERVATION),
        Machine("n1-standard-96", "NVIDIA_TESLA_T4", 4),
        Machine("n1-standard-32", "NVIDIA_TESLA_V100", 4),
        Machine("g2-standard-13", "NVIDIA_L4", 1),
        Machine("ct6e-standard-4t", tpu_topology="2x2"),
        Machine("n1-standard-8", "NVIDIA_TESLA_V100", 8),
    ],
    ids=lambda machine: machine.machine_type,
)
def test_offered_machines_pass(machine: Machine) -> None:
    """What Vertex AI offers is not refused here."""
    assert list(check_machine(machine)) == []


def test_a_size_that_is_not_in_the_table_is_a_warning() -> None:
    """It passes, for Google adds sizes, and is named with the table's date; a known or impossible one gives none."""
    assert "g2-standard-13 is not among the machine types" in unknown_size(Machine("g2-standard-13", "NVIDIA_L4", 1))
    assert unknown_size(Machine()) == unknown_size(Machine("c3-standard-4")) == ""


def test_a_reservation_is_named_in_the_message(request_: JobRequest) -> None:
    """As the API wants it: a specific reservation by its full name."""
    job = to_custom_job(replace(request_, pools={}, replicas=1, machine=Machine(reservation=RESERVATION)))

    affinity = job.job_spec.worker_pool_specs[0].machine_spec.reservation_affinity
    assert (affinity.key, list(affinity.values)) == ("compute.googleapis.com/reservation-name", [RESERVATION])
    assert affinity.reservation_affinity_type.name == "SPECIFIC_RESERVATION"


@given(args=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)))
def test_arguments_pass_unchanged(args: list[str]) -> None:
    """No argument is split, quoted or trimmed on its way."""
    request = JobRequest(display_name="n", image=f"r/i@sha256:{'0' * 64}", output="gs://b/o", args=args)

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
