"""Whether what the job names in its region is there: TensorBoard, persistent resource, encryption key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...core.job_fields import ENCRYPTION_KEY, TENSORBOARD
from .check_result import Finding
from .google_api import GoogleApi, Missing
from .policies import access_finding, service_agent
from .subject import Subject

_KEYS = "cloudkms.googleapis.com"


def check_tensorboard(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """It exists, in the job's region."""
    if subject.tensorboard is None:
        return
    create = (
        f"gcloud ai tensorboards create --display-name=training --region={subject.region} --project={subject.project}"
    )
    found = re.fullmatch(TENSORBOARD.pattern, subject.tensorboard)
    if found and found["region"] != subject.region:
        yield Finding("TensorBoard", "FAIL", f"in {found['region']}, and the job runs in {subject.region}", create)
        return
    try:
        api.get(_vertex(subject), f"v1/{subject.tensorboard}")
    except Missing:
        yield Finding("TensorBoard", "FAIL", f"{subject.tensorboard} doesn't exist", create)
        return
    yield Finding("TensorBoard", "PASS", "exists")


def check_persistent_resource(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """It exists, runs, and has machines of the job's type."""
    resource, job = subject.persistent_resource, subject.job
    if resource is None:
        return
    check, place = f"persistent resource {resource}", f"--region={subject.region} --project={subject.project}"
    machine = job.machine.machine_type if job else "MACHINE"
    try:
        name = f"projects/{subject.project}/locations/{subject.region}/persistentResources/{resource}"
        found = api.get(_vertex(subject), f"v1/{name}")
    except Missing:
        pool = f"--resource-pool-spec=replica-count={job.replicas if job else 1},machine-type={machine}"
        fix = f"gcloud ai persistent-resources create --persistent-resource-id={resource} {place} {pool}"
        yield Finding(check, "FAIL", f"doesn't exist in {subject.region}", fix)
        return
    if (state := found.get("state", "RUNNING")) != "RUNNING":
        fix = f"gcloud ai persistent-resources describe {resource} {place}"
        yield Finding(check, "FAIL", f"is {state}", fix)
        return
    machines = [str(pool.get("machineSpec", {}).get("machineType", "")) for pool in found.get("resourcePools", ())]
    if job is not None and machines and machine not in machines:
        fix = f'Set machine-type = "{machines[0]}" under [tool.vertex-training], or name another resource'
        yield Finding(check, "FAIL", f"has {', '.join(machines)}, and the job asks for {machine}", fix)
        return
    yield Finding(check, "PASS", "runs")


def check_key(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """It is in the job's region, is enabled, and Vertex AI's service agent may use it.

    https://cloud.google.com/vertex-ai/docs/general/cmek
    """
    if subject.encryption_key is None or not (found := re.fullmatch(ENCRYPTION_KEY.pattern, subject.encryption_key)):
        return
    check, key = f"key {found['name']}", subject.encryption_key
    options = f"{found['name']} --keyring={found['ring']} --location={found['region']} --project={found['project']}"
    if found["region"] != subject.region:
        fix = (
            f"gcloud kms keys create NAME --keyring=RING --location={subject.region} --purpose=encryption"
            f" --project={found['project']}"
        )
        yield Finding(check, "FAIL", f"in {found['region']}, and the job runs in {subject.region}", fix)
        return
    try:
        state = _key_state(api.get(_KEYS, f"v1/{key}"))
    except Missing:
        yield Finding(check, "FAIL", "doesn't exist", f"gcloud kms keys create {options} --purpose=encryption")
        return
    if state != "ENABLED":
        fix = f"gcloud kms keys versions enable VERSION --key={options}"
        yield Finding(check, "FAIL", f"its primary version is {state}", fix)
        return
    member = service_agent(subject.project, api)
    fix = (
        f"gcloud kms keys add-iam-policy-binding {options} --member={member}"
        " --role=roles/cloudkms.cryptoKeyEncrypterDecrypter"
    )
    roles = {"roles/cloudkms.cryptoKeyEncrypterDecrypter"}
    policy = (_KEYS, f"v1/{key}:getIamPolicy")
    yield access_finding(check, api, member, roles, policy, project=found["project"], fix=fix)


def _key_state(key: dict[str, Any]) -> str:
    if key.get("purpose", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
        return f"of the purpose {key['purpose']}"
    return str(key.get("primary", {}).get("state", "ENABLED"))


def _vertex(subject: Subject) -> str:
    return f"{subject.region}-aiplatform.googleapis.com"
