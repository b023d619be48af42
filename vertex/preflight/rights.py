"""Whether the caller, Vertex AI's service agents and the job's account have the rights that a run needs.

IAM answers only for the caller (`testIamPermissions`). Of other accounts the policies are read, as far as the caller
may; a right that a policy above grants doesn't stand there, so its absence is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .finding import Finding
from .google_api import GoogleApi, Missing, NotMade
from .subject import Subject

_PROJECTS = "cloudresourcemanager.googleapis.com"
_REGISTRY = "artifactregistry.googleapis.com"
_STORAGE = "storage.googleapis.com"
_ACCOUNTS = "iam.googleapis.com"

_JOBS = [f"aiplatform.customJobs.{verb}" for verb in ("create", "get", "list", "cancel")]
_LOGS = ["logging.logEntries.list"]
_PUSH = ["artifactregistry.repositories.uploadArtifacts", "artifactregistry.repositories.downloadArtifacts"]
_OBJECTS = ["storage.objects.create", "storage.objects.get", "storage.objects.list"]
_READERS = frozenset(f"roles/artifactregistry.{role}" for role in ("reader", "writer", "repoAdmin", "admin")) | {
    "roles/owner",
    "roles/editor",
    "roles/viewer",
}
_WRITERS = frozenset({"roles/storage.objectAdmin", "roles/storage.objectUser", "roles/storage.admin"})


def check_project_rights(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Jobs and logs: https://cloud.google.com/resource-manager/reference/rest/v3/projects/testIamPermissions."""
    path = f"v3/projects/{subject.project}:testIamPermissions"
    held = set(api.post(_PROJECTS, path, {"permissions": [*_JOBS, *_LOGS]}).get("permissions", ()))
    member = api.account or "MEMBER"
    grant = f"gcloud projects add-iam-policy-binding {subject.project} --member={member} --role="
    yield _held("rights to run jobs", api, _JOBS, held, f"{grant}roles/aiplatform.user")
    yield _held("right to read logs", api, _LOGS, held, f"{grant}roles/logging.viewer")


def check_repository_rights(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """The push by the caller."""
    repository = subject.repository
    if repository is None:
        return
    answer = api.post(_REGISTRY, f"v1/{repository.path}:testIamPermissions", {"permissions": _PUSH})
    member = api.account or "MEMBER"
    grant = f"gcloud artifacts repositories add-iam-policy-binding {repository.options} --member={member}"
    held = set(answer.get("permissions", ()))
    yield _held("rights to push", api, _PUSH, held, f"{grant} --role=roles/artifactregistry.writer")


def check_bucket_rights(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Models, receipts and data."""
    answer = api.get(_STORAGE, f"storage/v1/b/{subject.bucket}/iam/testPermissions", {"permissions": _OBJECTS})
    member = api.account or "MEMBER"
    grant = f"gcloud storage buckets add-iam-policy-binding gs://{subject.bucket} --member={member}"
    held = set(answer.get("permissions", ()))
    yield _held("rights to the bucket", api, _OBJECTS, held, f"{grant} --role=roles/storage.objectUser")


def check_acting_as(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Whether the caller may start jobs as the job's account."""
    account = subject.service_account
    if account is None:
        return
    name, permission = f"account {account}", "iam.serviceAccounts.actAs"
    try:
        answer = api.post(
            _ACCOUNTS, f"v1/projects/-/serviceAccounts/{account}:testIamPermissions", {"permissions": [permission]}
        )
    except Missing:
        project = account.partition("@")[2].partition(".")[0]
        fix = f"gcloud iam service-accounts create {account.partition('@')[0]} --project={project}"
        yield Finding(name, "FAIL", "the account doesn't exist", fix)
        return
    fix = f"gcloud iam service-accounts add-iam-policy-binding {account} --member={api.account or 'MEMBER'}"
    held = set(answer.get("permissions", ()))
    yield _held(name, api, [permission], held, f"{fix} --role=roles/iam.serviceAccountUser")


def check_image_pull(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Whether Vertex AI's service agent, which pulls the image, may read a repository of another project."""
    repository = subject.repository
    if repository is None or repository.project == subject.project:
        return
    number = project_number(subject.project, api)
    member = f"serviceAccount:service-{number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
    policy = api.get(_REGISTRY, f"v1/{repository.path}:getIamPolicy")
    fix = (
        f"gcloud artifacts repositories add-iam-policy-binding {repository.options} --member={member}"
        " --role=roles/artifactregistry.reader"
    )
    roles = _roles_of(member, policy) & _READERS
    yield _named_in_policy("pull by Vertex AI", member, roles, where=repository.path, fix=fix)


def check_bucket_of_job(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Whether the account that the job runs as may write to the bucket."""
    account = subject.service_account
    if account is None:
        return
    policy = api.get(_STORAGE, f"storage/v1/b/{subject.bucket}/iam")
    member = f"serviceAccount:{account}"
    fix = (
        f"gcloud storage buckets add-iam-policy-binding gs://{subject.bucket} --member={member}"
        " --role=roles/storage.objectAdmin"
    )
    roles = _roles_of(member, policy) & _WRITERS
    yield _named_in_policy("bucket of the job", member, roles, where=f"gs://{subject.bucket}", fix=fix)


def project_number(project: str, api: GoogleApi) -> str:
    """The project's number.

    Raises:
        NotMade: It can't be read.
    """
    name = str(api.get(_PROJECTS, f"v3/projects/{project}").get("name", ""))
    if not name.startswith("projects/"):
        raise NotMade("the project's number is not in the answer")
    return name.removeprefix("projects/")


def _held(check: str, api: GoogleApi, wanted: Sequence[str], held: set[str], fix: str) -> Finding:
    lacking = [permission for permission in wanted if permission not in held]
    if lacking:
        return Finding(check, "FAIL", f"{api.me} lacks {', '.join(lacking)}", fix)
    return Finding(check, "PASS", f"{api.me} has them" if len(wanted) > 1 else f"{api.me} has it")


def _roles_of(member: str, policy: Mapping[str, Any]) -> set[str]:
    """The roles that a policy gives to an account without a condition."""
    who = {member, "allUsers", "allAuthenticatedUsers"}
    bindings = policy.get("bindings", ())
    return {
        str(rule.get("role")) for rule in bindings if who & set(rule.get("members", ())) and not rule.get("condition")
    }


def _named_in_policy(check: str, member: str, roles: set[str], *, where: str, fix: str) -> Finding:
    if roles:
        return Finding(check, "PASS", f"{member} has {min(roles)}")
    return Finding(check, "UNKNOWN", f"the policy of {where} doesn't name {member}; its project's may", fix)
