"""Checks of a project over real HTTP: each thing that can be wrong is named, with the command that puts it right."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from fixtures.google.google_apis import (
    ACCOUNT,
    AGENT,
    BOARD,
    BUCKET,
    KEY,
    NETWORK,
    POOL,
    PROJECT,
    REGION,
    REPOSITORY,
    RESERVATION,
    GoogleApis,
    serving,
)
from prefect_vertex_training.core.job_options import Machine, Pool
from prefect_vertex_training.vertex.job_types import JobDescription
from prefect_vertex_training.vertex.preflight.check_result import Finding
from prefect_vertex_training.vertex.preflight.google_api import GoogleApi
from prefect_vertex_training.vertex.preflight.preflight import preflight
from prefect_vertex_training.vertex.preflight.subject import Repository, Subject
from prefect_vertex_training.vertex.preflight.training_quotas import needed

T4 = Machine("n1-standard-8", "NVIDIA_TESLA_T4", 2)
JOB = JobDescription(display_name="tiny", output=f"gs://{BUCKET}/tiny", machine=T4)
SUBJECT = Subject(PROJECT, REGION, BUCKET, Repository(PROJECT, REGION, "training"), service_account=ACCOUNT, job=JOB)
WHOLE = replace(
    SUBJECT,
    tensorboard=BOARD,
    network=NETWORK,
    persistent_resource="pool",
    encryption_key=KEY,
    job=replace(JOB, machine=replace(T4, reservation=RESERVATION)),
)
"""With everything that a job can name."""
ME = "user:me@example.com"
DISK = "custom_model_training_pd_ssd"


@pytest.fixture
def apis() -> Iterator[GoogleApis]:
    """A project in which everything is right."""
    with serving(GoogleApis()) as found:
        yield found


def findings(apis: GoogleApis, subject: Subject = SUBJECT) -> list[Finding]:
    """What the checks find."""
    return preflight(subject, GoogleApi(requests.Session(), address=lambda _: apis.address, account=ME))


def failed(apis: GoogleApis, subject: Subject = SUBJECT) -> list[Finding]:
    """What is wrong."""
    return [finding for finding in findings(apis, subject) if finding.status == "FAIL"]


def test_a_project_that_is_right_passes(apis: GoogleApis) -> None:
    """Every check."""
    found = findings(apis, WHOLE)

    assert [finding for finding in found if finding.status != "PASS"] == []
    assert {finding.check for finding in found} >= {
        "service aiplatform.googleapis.com",
        "rights to run jobs",
        "right to read logs",
        "rights to push",
        "rights to the bucket",
        f"account {ACCOUNT}",
        "bucket of the job",
        "quota custom_model_training_nvidia_t4_gpus",
        "quota custom_model_training_cpus",
        f"bucket gs://{BUCKET}",
        "repository training",
        f"NVIDIA_TESLA_T4 in {REGION}",
        *("project my-project", "billing", "pull by Vertex AI", "log of the job", "TensorBoard", "key own"),
        *("network training", "reservation held", "persistent resource pool", f"state of {ACCOUNT}"),
        *("gcp.resourceLocations", "gcp.restrictServiceUsage", "gcp.restrictNonCmekServices"),
    }


def test_the_calls_are_made_at_the_same_time(apis: GoogleApis) -> None:
    """Eight of them wait for each other on the server: one after the other, none would be answered."""
    apis.together = threading.Barrier(8)

    assert failed(apis) == []
    assert apis.together is None


def without(*names: str) -> Callable[[GoogleApis], None]:
    """Takes resources away."""

    def change(apis: GoogleApis) -> None:
        for name in names:
            del apis.resources[name]

    return change


def with_values(name: str, **values: Any) -> Callable[[GoogleApis], None]:
    """Changes a resource."""
    return lambda apis: apis.resources[name].update(values)


def denied(*permissions: str) -> Callable[[GoogleApis], None]:
    """Takes rights from the caller."""
    return lambda apis: apis.denied.update(permissions)


def off(service: str) -> Callable[[GoogleApis], None]:
    """Disables a service."""
    return lambda apis: apis.services.update({f"{service}.googleapis.com": "DISABLED"})


def limited(metric: str, value: int) -> Callable[[GoogleApis], None]:
    """Sets a quota."""
    return lambda apis: apis.quotas.update({f"custom_model_training_{metric}": value})


def busy(apis: GoogleApis) -> None:
    """Three T4 are in use."""
    pool = {
        "machineSpec": {"machineType": "n1-standard-4", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 3}
    }
    apis.jobs.append({"jobSpec": {"workerPoolSpecs": [{**pool, "replicaCount": "1"}]}})


def agent_without(role: str) -> Callable[[GoogleApis], None]:
    """Takes a role from Vertex AI's service agent, or from the job's account, in the project's policy."""

    def change(apis: GoogleApis) -> None:
        for rule in apis.resources[f"v3/projects/{PROJECT}:getIamPolicy"]["bindings"]:
            if rule["role"] == role:
                rule["role"] = "roles/pubsub.viewer"

    return change


def organization(constraint: str, **values: list[str]) -> Callable[[GoogleApis], None]:
    """An organization policy in effect."""
    path = f"v2/projects/{PROJECT}/policies/{constraint}:getEffectivePolicy"
    return lambda apis: apis.resources.update({path: {"spec": {"rules": [{"values": values}]}}})


DELETING = {"old": {"id": "old", "action": "DELETE", "condition": {"tagState": "UNTAGGED"}}}
WRONG: list[tuple[str, Callable[[GoogleApis], None], str, str]] = [
    ("vertex off", off("aiplatform"), "not enabled", "gcloud services enable aiplatform.googleapis.com"),
    ("storage off", off("storage"), "not enabled", "gcloud services enable storage.googleapis.com"),
    ("logging off", off("logging"), "not enabled", "gcloud services enable logging.googleapis.com"),
    ("registry off", off("artifactregistry"), "not enabled", "gcloud services enable artifactregistry"),
    ("no create", denied("aiplatform.customJobs.create"), "lacks aiplatform.customJobs.create", "roles/aiplatform.user"),  # noqa: E501 - a table
    ("no cancel", denied("aiplatform.customJobs.cancel"), "lacks aiplatform.customJobs.cancel", "roles/aiplatform.user"),  # noqa: E501 - a table
    ("no list", denied("aiplatform.customJobs.list"), f"{ME} lacks", f"--member={ME}"),
    ("no logs", denied("logging.logEntries.list"), "lacks logging.logEntries.list", "roles/logging.viewer"),
    ("no push", denied("artifactregistry.repositories.uploadArtifacts"), "uploadArtifacts", "artifactregistry.writer"),
    ("no pull", denied("artifactregistry.repositories.downloadArtifacts"), "download", "artifactregistry.writer"),
    ("no write", denied("storage.objects.create"), "lacks storage.objects.create", "roles/storage.objectUser"),
    ("no read", denied("storage.objects.get"), "lacks storage.objects.get", "add-iam-policy-binding gs://models"),
    ("no act as", denied("iam.serviceAccounts.actAs"), "lacks iam.serviceAccounts.actAs", "iam.serviceAccountUser"),
    ("no account", without(f"v1/projects/-/serviceAccounts/{ACCOUNT}"), "doesn't exist", "service-accounts create trainer"),  # noqa: E501 - a table
    ("no GPU", limited("nvidia_t4_gpus", 0), "2 needed, 0 allowed", "--quota-id=Id-custom_model_training_nvidia_t4_gpus"),  # noqa: E501 - a table
    ("one GPU", limited("nvidia_t4_gpus", 1), "2 needed, 1 allowed in us-central1", "--preferred-value=2"),
    ("few CPUs", limited("cpus", 4), "8 needed, 4 allowed", "--dimensions=region=us-central1"),
    ("all in use", busy, "2 needed beside 3 in use, 4 allowed", "--preferred-value=5"),
    ("no bucket", without(f"storage/v1/b/{BUCKET}"), "doesn't exist", "gcloud storage buckets create gs://models"),
    ("far bucket", with_values(f"storage/v1/b/{BUCKET}", location="EUROPE-WEST4"), "in europe-west4", "--location=us-c"),  # noqa: E501 - a table
    ("multi-region", with_values(f"storage/v1/b/{BUCKET}", location="US"), "in us, and the job", "buckets create"),
    ("locked", with_values(f"storage/v1/b/{BUCKET}", retentionPolicy={"retentionPeriod": "9"}), "retention", "--clear-ret"),  # noqa: E501 - a table
    ("no repository", without(f"v1/{REPOSITORY}"), "doesn't exist in us-central1", "repositories create training"),
    ("maven", with_values(f"v1/{REPOSITORY}", format="MAVEN"), "holds MAVEN", "--repository-format=docker"),
    ("remote", with_values(f"v1/{REPOSITORY}", mode="REMOTE_REPOSITORY"), "can be pushed", "repositories create"),
    ("held objects", with_values(f"storage/v1/b/{BUCKET}", defaultEventBasedHold=True), "holds each", "--no-default-event"),  # noqa: E501 - a table
    ("requester pays", with_values(f"storage/v1/b/{BUCKET}", billing={"requesterPays": True}), "requester", "--no-requester-pays"),  # noqa: E501 - a table
    ("deleted project", with_values(f"v3/projects/{PROJECT}", state="DELETE_REQUESTED"), "DELETE_REQUESTED", "undelete"),  # noqa: E501 - a table
    ("no billing", with_values(f"v1/projects/{PROJECT}/billingInfo", billingEnabled=False), "no billing account", "billing projects link"),  # noqa: E501 - a table
    ("account off", with_values(f"v1/projects/-/serviceAccounts/{ACCOUNT}", disabled=True), "is disabled", "service-accounts enable"),  # noqa: E501 - a table
    ("agent has no pull", agent_without("roles/aiplatform.serviceAgent"), f"no policy gives serviceAccount:{AGENT}", "artifactregistry.reader"),  # noqa: E501 - a table
    ("job can't write", with_values(f"storage/v1/b/{BUCKET}/iam", bindings=[]), f"serviceAccount:{ACCOUNT}", "roles/storage.objectAdmin"),  # noqa: E501 - a table
    ("job can't log", agent_without("roles/logging.logWriter"), f"serviceAccount:{ACCOUNT}", "roles/logging.logWriter"),
    ("small disk quota", limited("pd_ssd", 50), "100 needed, 50 allowed", "--quota-id=Id-custom_model_training_pd_ssd"),
    ("place forbidden", organization("gcp.resourceLocations", allowedValues=["in:eu-locations"]), "forbids resources in us-c", "org-policies describe"),  # noqa: E501 - a table
    ("service forbidden", organization("gcp.restrictServiceUsage", deniedValues=["aiplatform.googleapis.com"]), "forbids aiplatform", "org-policies describe"),  # noqa: E501 - a table
    ("key wanted", organization("gcp.restrictNonCmekServices", deniedValues=["is:aiplatform.googleapis.com"]), "wants a key", "encryption_key"),  # noqa: E501 - a table
    ("network missing", without(f"compute/v1/{NETWORK}"), "doesn't exist", "gcloud compute networks create training"),
    ("network not peered", with_values(f"compute/v1/{NETWORK}", peerings=[]), "isn't peered", "gcloud services vpc-peerings connect"),  # noqa: E501 - a table
    ("peering inactive", with_values(f"compute/v1/{NETWORK}", peerings=[{"name": "servicenetworking", "state": "INACTIVE"}]), "INACTIVE", "vpc-peerings"),  # noqa: E501 - a table
    ("no reservation", without(f"compute/v1/{RESERVATION}"), "doesn't exist in us-central1-b", "gcloud compute reservations create held"),  # noqa: E501 - a table
    ("reservation alone", with_values(f"compute/v1/{RESERVATION}", reservationSharingPolicy={}), "isn't shared", "--reservation-sharing-policy=ALLOW_ALL"),  # noqa: E501 - a table
    ("reservation full", with_values(f"compute/v1/{RESERVATION}", specificReservation={"count": 2, "inUseCount": 2}), "0 of 2 are free", "--vm-count=3"),  # noqa: E501 - a table
    ("other machines", with_values(f"compute/v1/{RESERVATION}", specificReservation={"count": 2, "instanceProperties": {"machineType": "g2-standard-4"}}), "holds g2-standard-4", 'machine-type = "g2-standard-4"'),  # noqa: E501 - a table
    ("no board", without(f"v1/{BOARD}"), "tensorboards/7 doesn't exist", "gcloud ai tensorboards create"),
    ("board closed", agent_without("roles/aiplatform.user"), f"serviceAccount:{ACCOUNT}", "roles/aiplatform.user"),
    ("no key", without(f"v1/{KEY}"), "doesn't exist", "gcloud kms keys create own"),
    ("key off", with_values(f"v1/{KEY}", primary={"state": "DISABLED"}), "is DISABLED", "gcloud kms keys versions enable"),  # noqa: E501 - a table
    ("key closed", with_values(f"v1/{KEY}:getIamPolicy", bindings=[]), f"serviceAccount:{AGENT}", "cryptoKeyEncrypterDecrypter"),  # noqa: E501 - a table
    ("no pool", without(f"v1/{POOL}"), "doesn't exist in us-central1", "gcloud ai persistent-resources create"),
    ("pool stops", with_values(f"v1/{POOL}", state="STOPPING"), "is STOPPING", "persistent-resources describe pool"),
    ("pool of others", with_values(f"v1/{POOL}", resourcePools=[{"machineSpec": {"machineType": "n1-highmem-2"}}]), "has n1-highmem-2", "machine-type"),  # noqa: E501 - a table
    ("cleanup", with_values(f"v1/{REPOSITORY}", cleanupPolicies=DELETING), "cleanup policy", "--policynames=old"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "what", "fix"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_named_with_its_command(
    apis: GoogleApis, change: Callable[[GoogleApis], None], what: str, fix: str
) -> None:
    """One change of the project, one kind of failure: who and what, and the command that puts it right."""
    change(apis)

    wrong = failed(apis, replace(WHOLE, encryption_key=None) if "wants a key" in what else WHOLE)

    assert wrong
    assert [finding for finding in wrong if what in finding.what and fix in finding.fix], wrong


SUBJECTS: list[tuple[Subject, str, str]] = [
    (replace(SUBJECT, tensorboard=BOARD.replace(REGION, "us-east1")), "in us-east1, and the job", "tensorboards create"),  # noqa: E501 - a table
    (replace(SUBJECT, encryption_key=KEY.replace(REGION, "europe-west4")), "in europe-west4", "--location=us-central1"),
    (replace(SUBJECT, repository=Repository(PROJECT, "europe-west4", "training")), "doesn't exist in europe-w", "create"),  # noqa: E501 - a table
    (
        replace(SUBJECT, job=replace(JOB, machine=Machine("a4-highgpu-8g", "NVIDIA_B200", 8)), region="us-west1"),
        "not offered for training",
        "Use one of its regions: ",
    ),
    (
        replace(SUBJECT, job=replace(JOB, machine=replace(T4, reservation=f"projects/{PROJECT}/zones/us-east1-b/reservations/r"))),  # noqa: E501 - a table
        "in us-east1, and the job runs in us-central1",
        "Name one in us-central1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "what", "fix"), SUBJECTS)
def test_what_is_in_the_wrong_place(apis: GoogleApis, subject: Subject, what: str, fix: str) -> None:
    """A TensorBoard, a repository, an accelerator and a reservation that the region doesn't have."""
    wrong = failed(apis, subject)

    assert [finding for finding in wrong if what in finding.what and fix in finding.fix], wrong


@pytest.mark.parametrize("forbidden", ["v1/projects", "v3/projects", "storage", f"v1/{REPOSITORY}", ""])
def test_what_may_not_be_asked_is_unknown(apis: GoogleApis, forbidden: str) -> None:
    """A forbidden call is no failure of the project."""
    apis.forbidden.append(forbidden)

    found = findings(apis)

    assert [finding for finding in found if finding.status == "FAIL"] == []
    assert "403 The caller does not have permission" in str(
        [finding.what for finding in found if finding.status == "UNKNOWN"]
    )


def test_no_network_is_unknown() -> None:
    """Nothing answers: every check that needs a call is unknown, none fails, and none raises."""
    api = GoogleApi(requests.Session(), address=lambda _: "http://127.0.0.1:1", account=ME)

    found = preflight(SUBJECT, api)

    assert {finding.status for finding in found} == {"UNKNOWN", "PASS"}
    assert [finding.check for finding in found if finding.status == "PASS"] == [f"NVIDIA_TESLA_T4 in {REGION}"]


def test_the_service_agent_pulls_from_another_project(apis: GoogleApis) -> None:
    """Its rights stand in the repository's policy; without them the command names the agent by the project's number."""
    other = Repository("images-project", REGION, "training")
    subject = replace(SUBJECT, repository=other)
    apis.resources[f"v1/{other.path}"] = {"format": "DOCKER"}
    apis.resources[f"v1/{other.path}:getIamPolicy"] = {}

    (lacking,) = [finding for finding in findings(apis, subject) if finding.check == "pull by Vertex AI"]
    agent = "serviceAccount:service-123456789012@gcp-sa-aiplatform.iam.gserviceaccount.com"
    apis.resources[f"v1/{other.path}:getIamPolicy"] = {
        "bindings": [{"role": "roles/artifactregistry.reader", "members": [agent]}]
    }
    (granted,) = [finding for finding in findings(apis, subject) if finding.check == "pull by Vertex AI"]

    assert (lacking.status, granted.status) == ("UNKNOWN", "PASS")
    assert f"--member={agent} --role=roles/artifactregistry.reader" in lacking.fix


def test_a_new_project_is_not_stopped(apis: GoogleApis) -> None:
    """Google makes the agents, and gives them their roles, when the project's first job is created."""
    apis.resources[f"v3/projects/{PROJECT}:getIamPolicy"] = {"bindings": []}

    found = {finding.check: finding for finding in findings(apis, replace(SUBJECT, service_account=None))}

    assert [name for name, finding in found.items() if finding.status == "FAIL"] == []
    for check in ("pull by Vertex AI", "bucket of the job"):
        assert found[check].status == "UNKNOWN"
        assert "with the first job" in found[check].what


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        (JOB, {"custom_model_training_nvidia_t4_gpus": 2, "custom_model_training_cpus": 8, DISK: 100}),
        (replace(JOB, machine=Machine("n2-standard-8"), replicas=3), {"custom_model_training_n2_cpus": 24, DISK: 300}),
        (
            replace(JOB, machine=Machine("g2-standard-4", "NVIDIA_L4", 1), strategy="SPOT"),
            {
                "custom_model_training_preemptible_nvidia_l4_gpus": 1,
                "custom_model_training_preemptible_cpus": 4,
                DISK: 100,
            },
        ),
        (
            replace(JOB, machine=Machine("a3-highgpu-8g", "NVIDIA_H100_80GB", 8), strategy="FLEX_START"),
            {
                "custom_model_training_preemptible_nvidia_h100_gpus": 8,
                "custom_model_training_preemptible_cpus": 208,
                DISK: 100,
            },
        ),
        (
            replace(JOB, machine=Machine(), pools={"server": Pool(Machine("n1-highcpu-16"), replicas=2)}),
            {"custom_model_training_cpus": 4 + 32, DISK: 300},
        ),
        (
            replace(JOB, machine=Machine("a2-ultragpu-1g", "NVIDIA_A100_80GB", 1)),
            {"custom_model_training_nvidia_a100_80gb_gpus": 1, "custom_model_training_a2_cpus": 12, DISK: 100},
        ),
        (replace(JOB, persistent_resource="pool"), {}),
        (
            replace(JOB, machine=Machine("n4-standard-8", boot_disk_gb=500)),
            {"custom_model_training_n4_cpus": 8, "custom_model_training_hyperdisk_balanced": 500},
        ),
    ],
)
def test_the_quotas_that_a_job_needs(job: JobDescription, wanted: dict[str, int]) -> None:
    """By accelerator, series, strategy, disk, replicas and pools; none on machines that are kept."""
    assert dict(needed(job)) == wanted


def test_a_restricted_image_has_a_quota_of_its_own() -> None:
    """In place of the accelerator's usual one."""
    job = replace(JOB, machine=Machine("a2-ultragpu-2g", "NVIDIA_A100_80GB", 2))

    assert needed(job, restricted_image=True)["restricted_image_training_nvidia_a100_80gb_gpus"] == 2
    assert "custom_model_training_nvidia_a100_80gb_gpus" not in needed(job, restricted_image=True)


def test_an_api_that_is_disabled_says_so(apis: GoogleApis) -> None:
    """One that the job needs is a failure; one that only a check asks is unknown; both with the command."""
    apis.disabled = ["v1/projects/my-project/locations/global", f"v1/{REPOSITORY}"]

    found = {finding.check: finding for finding in findings(apis)}

    assert (found["quotas"].status, found["repository"].status) == ("UNKNOWN", "FAIL")
    assert found["quotas"].fix == f"gcloud services enable cloudquotas.googleapis.com --project={PROJECT}"
    assert found["repository"].fix == f"gcloud services enable artifactregistry.googleapis.com --project={PROJECT}"


def test_what_may_not_be_asked_names_the_role(apis: GoogleApis) -> None:
    """A role of reading, for the account that asked."""
    apis.forbidden.append("v1/projects/my-project/locations/global")

    (quotas,) = [finding for finding in findings(apis) if finding.check == "quotas"]

    assert (
        quotas.fix == f"gcloud projects add-iam-policy-binding {PROJECT} --member={ME} --role=roles/cloudquotas.viewer"
    )


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"allowedValues": ["in:us-locations"]}, "PASS"),
        ({"allowedValues": ["in:northamerica-locations", "in:eu-locations"]}, "PASS"),
        ({"allowedValues": ["us-central1"]}, "PASS"),
        ({"allowedValues": ["in:low-carbon-locations"]}, "UNKNOWN"),
        ({"allowedValues": ["europe-west4"]}, "FAIL"),
        ({"deniedValues": ["in:us-central1-locations"]}, "FAIL"),
        ({"deniedValues": ["in:asia-locations"]}, "PASS"),
    ],
)
def test_the_places_that_an_organization_allows(apis: GoogleApis, values: dict[str, list[str]], status: str) -> None:
    """Regions and groups of them; a group that isn't known here fails nobody."""
    organization("gcp.resourceLocations", **values)(apis)

    (found,) = [finding for finding in findings(apis) if finding.check == "gcp.resourceLocations"]

    assert found.status == status


@pytest.mark.parametrize(
    "rule",
    [
        {"role": "roles/storage.objectAdmin", "members": ["group:trainers@example.com"]},
        {"role": f"projects/{PROJECT}/roles/trainer", "members": [f"serviceAccount:{ACCOUNT}"]},
        {"role": "roles/storage.objectAdmin", "members": [f"serviceAccount:{ACCOUNT}"], "condition": {"title": "x"}},
    ],
)
def test_a_right_that_nobody_here_can_look_into_is_unknown(apis: GoogleApis, rule: dict[str, Any]) -> None:
    """A group, a role that somebody defined, and a condition may give the right."""
    apis.resources[f"storage/v1/b/{BUCKET}/iam"] = {"bindings": [rule]}

    (found,) = [finding for finding in findings(apis) if finding.check == "bucket of the job"]

    assert found.status == "UNKNOWN"


def test_a_right_from_above_counts(apis: GoogleApis) -> None:
    """The policy of a folder gives it; if that can't be read, it is unknown."""
    apis.resources[f"storage/v1/b/{BUCKET}/iam"] = {}
    above = {
        "ancestor": [{"resourceId": {"type": "project", "id": PROJECT}}, {"resourceId": {"type": "folder", "id": "7"}}]
    }
    apis.resources[f"v1/projects/{PROJECT}:getAncestry"] = above
    rule = {"role": "roles/storage.objectAdmin", "members": [f"serviceAccount:{ACCOUNT}"]}

    def status() -> str:
        return next(finding.status for finding in findings(apis) if finding.check == "bucket of the job")

    unread = status()
    apis.resources["v3/folders/7:getIamPolicy"] = {"bindings": [rule]}
    assert (unread, status()) == ("UNKNOWN", "PASS")


def test_every_fix_is_one_command_that_a_shell_reads(apis: GoogleApis) -> None:
    """Pasted into a shell, it is one line without anything that the shell would take for itself."""
    apis.denied.update({"aiplatform.customJobs.create", "storage.objects.create"})
    for finding in failed(apis):
        run = subprocess.run(["bash", "-n", "-c", finding.fix], capture_output=True, check=False)
        assert run.returncode == 0, finding.fix
        assert "\n" not in finding.fix
