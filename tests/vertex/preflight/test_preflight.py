"""Checks of a project over real HTTP: each thing that can be wrong is named, with the command that puts it right."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from fixtures.google_apis import ACCOUNT, BUCKET, PROJECT, REGION, REPOSITORY, GoogleApis, serving
from prefect_vertex_training.core.job_options import Machine, Pool
from prefect_vertex_training.vertex.job_types import JobDescription
from prefect_vertex_training.vertex.preflight.finding import Finding
from prefect_vertex_training.vertex.preflight.google_api import GoogleApi
from prefect_vertex_training.vertex.preflight.preflight import preflight
from prefect_vertex_training.vertex.preflight.quotas import needed
from prefect_vertex_training.vertex.preflight.subject import Repository, Subject

T4 = Machine("n1-standard-8", "NVIDIA_TESLA_T4", 2)
JOB = JobDescription(display_name="tiny", output=f"gs://{BUCKET}/tiny", machine=T4)
BOARD = f"projects/{PROJECT}/locations/{REGION}/tensorboards/7"
SUBJECT = Subject(PROJECT, REGION, BUCKET, Repository(PROJECT, REGION, "training"), service_account=ACCOUNT, job=JOB)
ME = "user:me@example.com"


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
    found = findings(apis)

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
    ("cleanup", with_values(f"v1/{REPOSITORY}", cleanupPolicies=DELETING), "cleanup policy", "--policynames=old"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "what", "fix"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_named_with_its_command(
    apis: GoogleApis, change: Callable[[GoogleApis], None], what: str, fix: str
) -> None:
    """One change of the project, one kind of failure: who and what, and the command that puts it right."""
    change(apis)

    wrong = failed(apis)

    assert wrong
    assert [finding for finding in wrong if what in finding.what and fix in finding.fix], wrong


SUBJECTS: list[tuple[Subject, str, str]] = [
    (replace(SUBJECT, tensorboard=BOARD), "tensorboards/7 doesn't exist", "gcloud ai tensorboards create"),
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


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        (JOB, {"custom_model_training_nvidia_t4_gpus": 2, "custom_model_training_cpus": 8}),
        (replace(JOB, machine=Machine("n2-standard-8"), replicas=3), {"custom_model_training_n2_cpus": 24}),
        (
            replace(JOB, machine=Machine("g2-standard-4", "NVIDIA_L4", 1), strategy="SPOT"),
            {"custom_model_training_preemptible_nvidia_l4_gpus": 1, "custom_model_training_preemptible_cpus": 4},
        ),
        (
            replace(JOB, machine=Machine("a3-highgpu-8g", "NVIDIA_H100_80GB", 8), strategy="FLEX_START"),
            {"custom_model_training_preemptible_nvidia_h100_gpus": 8, "custom_model_training_preemptible_cpus": 208},
        ),
        (
            replace(JOB, machine=Machine(), pools={"server": Pool(Machine("n1-highcpu-16"), replicas=2)}),
            {"custom_model_training_cpus": 4 + 32},
        ),
        (
            replace(JOB, machine=Machine("a2-ultragpu-1g", "NVIDIA_A100_80GB", 1)),
            {"custom_model_training_nvidia_a100_80gb_gpus": 1, "custom_model_training_a2_cpus": 12},
        ),
    ],
)
def test_the_quotas_that_a_job_needs(job: JobDescription, wanted: dict[str, int]) -> None:
    """By accelerator, series, strategy, replicas and pools."""
    assert dict(needed(job)) == wanted


def test_every_fix_is_one_command_that_a_shell_reads(apis: GoogleApis) -> None:
    """Pasted into a shell, it is one line without anything that the shell would take for itself."""
    apis.denied.update({"aiplatform.customJobs.create", "storage.objects.create"})
    for finding in failed(apis):
        run = subprocess.run(["bash", "-n", "-c", finding.fix], capture_output=True, check=False)
        assert run.returncode == 0, finding.fix
        assert "\n" not in finding.fix
