"""Whether the caller, Vertex AI's service agents and the job's account have the rights that a run needs.

IAM answers only for the caller (`testIamPermissions`); for other accounts see `policies.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .check_result import Finding
from .google_api import GoogleApi, Missing
from .policies import PROJECTS, access_finding, project_policy, service_agent
from .subject import Subject

_REGISTRY = "artifactregistry.googleapis.com"
_STORAGE = "storage.googleapis.com"
_ACCOUNTS = "iam.googleapis.com"

_JOBS = [f"aiplatform.customJobs.{verb}" for verb in ("create", "get", "list", "cancel")]
_LOGS = ["logging.logEntries.list"]
_PUSH = ["artifactregistry.repositories.uploadArtifacts", "artifactregistry.repositories.downloadArtifacts"]
_OBJECTS = ["storage.objects.create", "storage.objects.get", "storage.objects.list"]
_READERS = frozenset(f"roles/artifactregistry.{role}" for role in ("reader", "writer", "repoAdmin", "admin")) | {
    "roles/viewer",
    "roles/aiplatform.serviceAgent",
}
_WRITERS = frozenset(f"roles/storage.{role}" for role in ("objectAdmin", "objectUser", "admin")) | {
    "roles/aiplatform.customCodeServiceAgent"
}
_LOGGERS = frozenset({"roles/logging.logWriter", "roles/logging.admin", "roles/aiplatform.customCodeServiceAgent"})
_USERS = frozenset({"roles/aiplatform.user", "roles/aiplatform.admin"})


def check_project_rights(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Jobs and logs: https://cloud.google.com/resource-manager/reference/rest/v3/projects/testIamPermissions."""
    path = f"v3/projects/{subject.project}:testIamPermissions"
    held = set(api.post(PROJECTS, path, {"permissions": [*_JOBS, *_LOGS]}).get("permissions", ()))
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


def check_account(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Whether the job's account is enabled, and Vertex AI may use it where it belongs to another project."""
    account = subject.service_account
    if account is None:
        return
    name = f"state of {account}"
    try:
        found = api.get(_ACCOUNTS, f"v1/projects/-/serviceAccounts/{account}")
    except Missing:
        return  # `check_acting_as` says so
    if found.get("disabled"):
        yield Finding(name, "FAIL", "the account is disabled", f"gcloud iam service-accounts enable {account}")
    else:
        yield Finding(name, "PASS", "enabled")
    project = account.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
    if account.endswith(".iam.gserviceaccount.com") and project != subject.project:
        # https://cloud.google.com/vertex-ai/docs/general/custom-service-account#attach-across-projects
        member, role = service_agent(subject.project, api), "roles/iam.serviceAccountTokenCreator"
        fix = f"gcloud iam service-accounts add-iam-policy-binding {account} --member={member} --role={role}"
        policy = (_ACCOUNTS, f"v1/projects/-/serviceAccounts/{account}:getIamPolicy")
        check = f"account of project {project}"
        yield access_finding(check, api, member, {role}, policy, project=project, fix=fix)


def check_image_pull(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Whether Vertex AI's service agent, which pulls the image in place of the job's account, may read it."""
    repository = subject.repository
    if repository is None:
        return
    member = service_agent(subject.project, api)
    fix = (
        f"gcloud artifacts repositories add-iam-policy-binding {repository.options} --member={member}"
        " --role=roles/artifactregistry.reader"
    )
    policy = (_REGISTRY, f"v1/{repository.path}:getIamPolicy")
    yield access_finding("pull by Vertex AI", api, member, _READERS, policy, project=repository.project, fix=fix)


def check_bucket_of_job(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Whether the account that the job runs as may write to the bucket."""
    member = _account_of_job(subject, api)
    fix = (
        f"gcloud storage buckets add-iam-policy-binding gs://{subject.bucket} --member={member}"
        " --role=roles/storage.objectAdmin"
    )
    policy = (_STORAGE, f"storage/v1/b/{subject.bucket}/iam")
    yield access_finding("bucket of the job", api, member, _WRITERS, policy, project=subject.project, fix=fix)


def check_log_of_job(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """Whether the account that the job runs as may write its log; without that the job has none."""
    if subject.service_account is None:
        return
    member = _account_of_job(subject, api)
    grant = f"gcloud projects add-iam-policy-binding {subject.project} --member={member} --role="
    policy = project_policy(subject.project)
    yield access_finding(
        "log of the job", api, member, _LOGGERS, policy, project=subject.project, fix=f"{grant}roles/logging.logWriter"
    )
    if subject.tensorboard is not None:
        fix = f"{grant}roles/aiplatform.user"
        yield access_finding("TensorBoard of the job", api, member, _USERS, policy, project=subject.project, fix=fix)


def _account_of_job(subject: Subject, api: GoogleApi) -> str:
    """As an IAM member: the account that was chosen, or the agent that Vertex AI runs custom code as."""
    if subject.service_account is not None:
        return f"serviceAccount:{subject.service_account}"
    return service_agent(subject.project, api).replace("@gcp-sa-aiplatform.", "@gcp-sa-aiplatform-cc.")


def _held(check: str, api: GoogleApi, wanted: Sequence[str], held: set[str], fix: str) -> Finding:
    lacking = [permission for permission in wanted if permission not in held]
    if lacking:
        return Finding(check, "FAIL", f"{api.me} lacks {', '.join(lacking)}", fix)
    return Finding(check, "PASS", f"{api.me} has them" if len(wanted) > 1 else f"{api.me} has it")
