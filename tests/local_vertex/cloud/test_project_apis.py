"""A check of a project against local_vertex: what is wrong there is named, and its own command puts it right."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from prefect_vertex_training.core.job_options import Machine
from prefect_vertex_training.local_vertex.client import admin
from prefect_vertex_training.local_vertex.cloud.surroundings import agent
from prefect_vertex_training.local_vertex.location import project_number
from prefect_vertex_training.vertex.job_types import JobDescription
from prefect_vertex_training.vertex.preflight.check_result import Finding
from prefect_vertex_training.vertex.preflight.google_api import GoogleApi
from prefect_vertex_training.vertex.preflight.preflight import preflight
from prefect_vertex_training.vertex.preflight.subject import Repository, Subject
from prefect_vertex_training.vertex.pricing.billing_catalog import COMPUTE_ENGINE, catalog_prices
from prefect_vertex_training.vertex.pricing.hourly_rate import hourly_rate

PROJECT, REGION, BUCKET = "my-project", "us-central1", "models"
ACCOUNT = f"trainer@{PROJECT}.iam.gserviceaccount.com"
REPOSITORY = Repository(PROJECT, REGION, "training")
JOB = JobDescription(
    display_name="tiny", output=f"gs://{BUCKET}/tiny", machine=Machine("n1-standard-8", "NVIDIA_TESLA_T4", 2)
)
SUBJECT = Subject(PROJECT, REGION, BUCKET, REPOSITORY, service_account=ACCOUNT, job=JOB)
OF_THE_JOB = ("roles/logging.logWriter", "roles/aiplatform.user")
NETWORK = "projects/123456789012/global/networks/training"
RESERVATION = f"projects/{PROJECT}/zones/{REGION}-b/reservations/held"
KEY = f"projects/{PROJECT}/locations/{REGION}/keyRings/ring/cryptoKeys/own"
WHOLE = replace(
    SUBJECT,
    network=NETWORK.replace("123456789012", PROJECT),
    encryption_key=KEY,
    job=replace(JOB, machine=replace(JOB.machine, reservation=RESERVATION)),
)
"""With what a job can name of other services."""
WRITER = {"role": "roles/storage.objectAdmin", "members": [f"serviceAccount:{ACCOUNT}"]}


class Project:
    """A project of local_vertex in which everything is as it has to be; tests change it by Google's own APIs.

    Attributes:
        local: The service.
    """

    def __init__(self, local: Any) -> None:
        self.local = local
        self.session = requests.Session()
        self.session.proxies = {"https": local.service.proxy}
        self.session.verify = str(_own_authority(Path(local.service.authorities)))
        self.session.headers["Authorization"] = f"Bearer {local.service.token}"
        self.session.trust_env = False
        place = {"location": REGION}
        self.call("POST", "storage", "storage/v1/b", {"name": BUCKET, **place}, project=PROJECT)
        self.call("PUT", "storage", f"storage/v1/b/{BUCKET}/iam", {"bindings": [WRITER]})
        parent = REPOSITORY.path.rpartition("/")[0]
        self.call("POST", "artifactregistry", f"v1/{parent}", {"mode": "MODE_UNSPECIFIED"}, repositoryId="training")
        self.call("POST", "iam", f"v1/projects/{PROJECT}/serviceAccounts", {"accountId": "trainer"})
        policy = self.call("POST", "cloudresourcemanager", f"v3/projects/{PROJECT}:getIamPolicy", {})
        policy["bindings"] += [{"role": role, "members": [f"serviceAccount:{ACCOUNT}"]} for role in OF_THE_JOB]
        self.call("POST", "cloudresourcemanager", f"v3/projects/{PROJECT}:setIamPolicy", {"policy": policy})

    def call(self, method: str, api: str, path: str, body: Any = None, **query: str) -> Any:
        """A call that must succeed."""
        answer = self.session.request(method, f"https://{api}.googleapis.com/{path}", json=body, params=query)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def faults(self, **values: Any) -> None:
        """Sets switches."""
        admin(self.local.service, "Switches", values)

    def check(self, subject: Subject = SUBJECT) -> list[Finding]:
        """What the checks find."""
        return preflight(subject, GoogleApi(self.session))

    def failed(self, subject: Subject = SUBJECT) -> list[Finding]:
        """What is wrong."""
        return [finding for finding in self.check(subject) if finding.status == "FAIL"]


def _own_authority(bundle: Path) -> Path:
    """The last of the bundle's authorities alone: each of a test's dozen connections would read all the others."""
    own = bundle.with_name("own.pem")
    begin = "-----BEGIN CERTIFICATE-----"
    own.write_text(begin + bundle.read_text().rpartition(begin)[2])
    return own


@pytest.fixture
def project(start_local: Callable[..., Any]) -> Iterator[Project]:
    """On a service of its own, with Google's hosts."""
    made = Project(start_local(tcp=True, as_cloud=True, projects=(PROJECT,), regions=("all",)))
    yield made
    made.session.close()


Change = Callable[[Project], object]


def fault(**values: Any) -> Change:
    """A switch."""
    return lambda project: project.faults(**values)


def sent(method: str, api: str, path: str, body: Any = None, **query: str) -> Change:
    """A call of an API."""
    return lambda project: project.call(method, api, path, body, **query)


def lacking(*permissions: str) -> Change:
    """Takes rights away."""
    return fault(denied_permissions=",".join(permissions))


def answering(path: str, document: Any) -> Change:
    """An answer in place of the service's own; None for a resource that doesn't exist."""
    return fault(api_answers=json.dumps({path: document}))


def recreated(**values: Any) -> Change:
    """Makes the repository anew, with other values."""

    def change(project: Project) -> None:
        project.call("DELETE", "artifactregistry", f"v1/{REPOSITORY.path}")
        parent = REPOSITORY.path.rpartition("/")[0]
        project.call("POST", "artifactregistry", f"v1/{parent}", values, repositoryId="training")

    return change


def moved(location: str) -> Change:
    """Makes the bucket anew elsewhere."""

    def change(project: Project) -> None:
        project.call("DELETE", "storage", f"storage/v1/b/{BUCKET}")
        project.call("POST", "storage", "storage/v1/b", {"name": BUCKET, "location": location}, project=PROJECT)

    return change


def busy(project: Project) -> None:
    """Three T4 are in use, of four."""
    pool = {
        "machineSpec": {"machineType": "n1-standard-4", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 4},
        "replicaCount": "1",
        "containerSpec": {"imageUri": "oci:/images:demo@sha256:" + "0" * 64},
    }
    path = f"v1/projects/{PROJECT}/locations/{REGION}/customJobs"
    job = {"displayName": "other", "jobSpec": {"workerPoolSpecs": [pool]}}
    project.call("POST", f"{REGION}-aiplatform", path, job)
    project.faults(quota_limits="custom_model_training_nvidia_t4_gpus=4")


SERVICES = f"v1/projects/{PROJECT}/services"
DELETING = {"cleanupPolicies": {"old": {"id": "old", "action": "DELETE", "condition": {"tagState": "UNTAGGED"}}}}
WRONG: list[tuple[str, Change, str, str]] = [
    ("vertex off", sent("POST", "serviceusage", f"{SERVICES}/aiplatform.googleapis.com:disable"), "not enabled", "gcloud services enable aiplatform.googleapis.com"),  # noqa: E501 - a table
    ("storage off", sent("POST", "serviceusage", f"{SERVICES}/storage.googleapis.com:disable"), "not enabled", "gcloud services enable storage.googleapis.com"),  # noqa: E501 - a table
    ("logging off", fault(disabled_services="logging"), "not enabled", "gcloud services enable logging.googleapis.com"),
    ("registry off", fault(disabled_services="storage,artifactregistry"), "not enabled", "gcloud services enable artifactregistry"),  # noqa: E501 - a table
    *(
        (name, lacking(name), f"lacks {name}", "--role=roles/aiplatform.user")
        for name in ("aiplatform.customJobs.create", "aiplatform.customJobs.get", "aiplatform.customJobs.list", "aiplatform.customJobs.cancel")  # noqa: E501 - a table
    ),
    ("logs", lacking("logging.logEntries.list"), "lacks logging.logEntries.list", "roles/logging.viewer"),
    ("push", lacking("artifactregistry.repositories.uploadArtifacts"), "uploadArtifacts", "artifactregistry.writer"),
    ("pull", lacking("artifactregistry.repositories.downloadArtifacts"), "downloadArtifacts", "artifactregistry.writer"),  # noqa: E501 - a table
    ("objects.create", lacking("storage.objects.create"), "lacks storage.objects.create", "roles/storage.objectUser"),
    ("objects.get", lacking("storage.objects.get"), "lacks storage.objects.get", f"add-iam-policy-binding gs://{BUCKET}"),
    ("objects.list", lacking("storage.objects.list"), "lacks storage.objects.list", "roles/storage.objectUser"),
    ("act as", lacking("iam.serviceAccounts.actAs"), "lacks iam.serviceAccounts.actAs", "iam.serviceAccountUser"),
    ("no GPU", fault(quota_limits="custom_model_training_nvidia_t4_gpus=0"), "2 needed, 0 allowed", "--quota-id=CustomModelTrainingNvidiaT4GpusPerProjectPerRegion"),  # noqa: E501 - a table
    ("one GPU", fault(**{f"quota_limits@{REGION}": "custom_model_training_nvidia_t4_gpus=1"}), "2 needed, 1 allowed", "--preferred-value=2"),  # noqa: E501 - a table
    ("few CPUs", fault(quota_limits="custom_model_training_cpus=4"), "8 needed, 4 allowed", f"--dimensions=region={REGION}"),  # noqa: E501 - a table
    ("all in use", busy, "2 needed beside 4 in use, 4 allowed", "--preferred-value=6"),
    ("no bucket", sent("DELETE", "storage", f"storage/v1/b/{BUCKET}"), "doesn't exist", f"gcloud storage buckets create gs://{BUCKET}"),
    ("far bucket", moved("europe-west4"), "in europe-west4", f"--location={REGION}"),
    ("multi-region", moved("US"), "in us, and the job", "buckets create"),
    ("locked bucket", sent("PATCH", "storage", f"storage/v1/b/{BUCKET}", {"retentionPolicy": {"retentionPeriod": "9"}}), "retention", "--clear-ret"),  # noqa: E501 - a table
    ("no repository", sent("DELETE", "artifactregistry", f"v1/{REPOSITORY.path}"), "doesn't exist in us-central1", "repositories create training"),  # noqa: E501 - a table
    ("maven", recreated(format="MAVEN"), "holds MAVEN", "--repository-format=docker"),
    ("remote", recreated(mode="REMOTE_REPOSITORY"), "can be pushed", "repositories create"),
    ("cleanup", sent("PATCH", "artifactregistry", f"v1/{REPOSITORY.path}", DELETING, updateMask="cleanup_policies"), "cleanup policy", "--policynames=old"),  # noqa: E501 - a table
]  # fmt: skip


@pytest.mark.parametrize(("change", "what", "fix"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_named_with_its_command(project: Project, change: Change, what: str, fix: str) -> None:
    """One change of the project there, one kind of failure: who and what, and the command that puts it right."""
    change(project)

    wrong = project.failed()

    assert [finding for finding in wrong if what in finding.what and fix in finding.fix], wrong


OTHER_ROLE = {"bindings": [{"role": "roles/pubsub.viewer", "members": [agent(project_number(PROJECT))]}]}
OF_OTHERS: list[tuple[str, Change, str, str]] = [
    ("no billing", answering(f"cloudbilling/v1/projects/{PROJECT}/billingInfo", {}), "no billing account", "gcloud billing projects link"),  # noqa: E501 - a table
    ("place forbidden", answering(f"orgpolicy/v2/projects/{PROJECT}/policies/gcp.resourceLocations:getEffectivePolicy", {"spec": {"rules": [{"denyAll": True}]}}), "forbids resources", "org-policies describe"),  # noqa: E501 - a table
    ("no network", answering(f"compute/compute/v1/{WHOLE.network}", None), "doesn't exist", "gcloud compute networks create"),  # noqa: E501 - a table
    ("not peered", answering(f"compute/compute/v1/{WHOLE.network}", {}), "isn't peered", "gcloud services vpc-peerings connect"),  # noqa: E501 - a table
    ("no reservation", answering(f"compute/compute/v1/{RESERVATION}", None), "doesn't exist", "reservations create held"),  # noqa: E501 - a table
    ("no key", answering(f"cloudkms/v1/{KEY}", None), "doesn't exist", "gcloud kms keys create own"),
    ("key closed", answering(f"cloudkms/v1/{KEY}:getIamPolicy", {}), "no policy gives", "cryptoKeyEncrypterDecrypter"),
    ("disk", fault(quota_limits="custom_model_training_pd_ssd=50"), "100 needed, 50 allowed", "PdSsdPerProject"),
    ("agent", sent("POST", "cloudresourcemanager", f"v3/projects/{PROJECT}:setIamPolicy", {"policy": OTHER_ROLE}), "@gcp-sa-aiplatform.", "roles/artifactregistry.reader"),  # noqa: E501 - a table
]  # fmt: skip


def test_other_services_are_asked_as_well(project: Project) -> None:
    """Billing, policies, networks, reservations, keys and disks: one wrong after the other, on one service."""
    for name, change, what, fix in OF_OTHERS:
        project.faults(api_answers="", quota_limits="")
        change(project)

        wrong = project.failed(WHOLE)

        assert [finding for finding in wrong if what in finding.what and fix in finding.fix], (name, wrong)


def test_a_project_that_is_right_passes(project: Project) -> None:
    """Every check, with the default quotas; and without the right to ask, none fails."""
    assert [finding for finding in project.check(WHOLE) if finding.status != "PASS"] == []

    project.faults(forbidden_apis="serviceusage,cloudresourcemanager,artifactregistry,iam,cloudquotas")
    found = project.check()

    assert {finding.status for finding in found} == {"PASS", "UNKNOWN"}
    assert len([finding for finding in found if finding.status == "UNKNOWN"]) >= 5


def test_an_account_that_does_not_exist(project: Project) -> None:
    """It is named, and the call of its command makes it; its rights on the bucket stand in the bucket's policy."""
    other = replace(SUBJECT, service_account=f"other@{PROJECT}.iam.gserviceaccount.com")
    (missing,) = [finding for finding in project.failed(other) if "doesn't exist" in finding.what]
    assert "service-accounts create other" in missing.fix

    project.call("POST", "iam", f"v1/projects/{PROJECT}/serviceAccounts", {"accountId": "other"})

    wrong = {finding.check: finding.fix for finding in project.failed(other)}
    assert wrong.keys() == {"bucket of the job", "log of the job"}
    assert (
        f"gs://{BUCKET} --member=serviceAccount:other@{PROJECT}.iam.gserviceaccount.com" in wrong["bucket of the job"]
    )


def test_a_quota_that_is_raised_passes(project: Project) -> None:
    """The preference is granted at once; other regions keep their limit."""
    project.faults(quota_limits="custom_model_training_nvidia_t4_gpus=0")
    (finding,) = project.failed()
    project.faults(quota_limits="")
    preference = {
        "quotaId": finding.fix.partition("--quota-id=")[2].partition(" ")[0],
        "dimensions": {"region": REGION},
        "quotaConfig": {"preferredValue": "1"},
    }
    place = f"v1/projects/{PROJECT}/locations/global/quotaPreferences"

    project.call("POST", "cloudquotas", place, preference)
    assert [found.what for found in project.failed()] == ["2 needed, 1 allowed in us-central1"]
    project.call("POST", "cloudquotas", place, {**preference, "quotaConfig": {"preferredValue": "2"}})
    assert project.failed() == []


def test_answers_that_take_a_moment_are_waited_for_together(project: Project) -> None:
    """A tenth of a second each: more than ten of them take less than their sum."""
    project.faults(api_delay_seconds=0.1)
    calls: list[float] = []
    real = project.session.request

    def counted(*words: Any, **options: Any) -> Any:
        begin = time.monotonic()
        try:
            return real(*words, **options)
        finally:
            calls.append(time.monotonic() - begin)

    project.session.request = counted  # pyright: ignore[reportAttributeAccessIssue]
    begin = time.monotonic()
    project.check()

    assert len(calls) >= 9
    assert time.monotonic() - begin < sum(calls)


def test_the_billing_catalog(project: Project, tmp_path: Any) -> None:
    """Its prices are round numbers, so that a job's cost can be computed by hand."""
    prices = catalog_prices(
        tmp_path, lambda path, query: project.call("GET", "cloudbilling", path, **query), now=time.time()
    )
    rate = hourly_rate(JOB, "europe-west4", [prices])

    assert COMPUTE_ENGINE.startswith("services/")
    assert rate.usd == pytest.approx((8 * 0.01 + 30 * 0.001 + 2 * 0.5 + 100 * 0.0001) * 1.15)
