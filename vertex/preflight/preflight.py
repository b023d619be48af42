"""Runs all checks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .check_result import Finding
from .compute_resources import check_network, check_reservation
from .google_api import GoogleApi, Missing, NotMade
from .job_resources import check_key, check_persistent_resource, check_tensorboard
from .project_state import (
    check_billing,
    check_key_policy,
    check_location_policy,
    check_project,
    check_service_policy,
)
from .resource_places import check_bucket, check_offer, check_repository
from .rights import (
    check_account,
    check_acting_as,
    check_bucket_of_job,
    check_bucket_rights,
    check_image_pull,
    check_log_of_job,
    check_project_rights,
    check_repository_rights,
)
from .services import check_services, needed_services
from .subject import Subject
from .training_quotas import check_quotas

Check = Callable[[Subject, GoogleApi], Iterator[Finding]]

PLACE_CHECKS: Sequence[tuple[str, Check]] = (
    ("project", check_project),
    ("billing", check_billing),
    ("enabled services", check_services),
    ("rights to run jobs", check_project_rights),
    ("rights to push", check_repository_rights),
    ("rights to the bucket", check_bucket_rights),
    ("pull by Vertex AI", check_image_pull),
    ("bucket", check_bucket),
    ("repository", check_repository),
    ("gcp.resourceLocations", check_location_policy),
    ("gcp.restrictServiceUsage", check_service_policy),
)
"""Those that need no job, each with what is unknown if its call is not made."""

JOB_CHECKS: Sequence[tuple[str, Check]] = (
    ("account of the job", check_acting_as),
    ("state of the job's account", check_account),
    ("bucket of the job", check_bucket_of_job),
    ("log of the job", check_log_of_job),
    ("quotas", check_quotas),
    ("TensorBoard", check_tensorboard),
    ("persistent resource", check_persistent_resource),
    ("network", check_network),
    ("reservation", check_reservation),
    ("key", check_key),
    ("gcp.restrictNonCmekServices", check_key_policy),
    ("region", check_offer),
)
"""Those that depend on the job's own settings."""

_VIEWERS = {
    "aiplatform": "aiplatform.viewer",
    "artifactregistry": "artifactregistry.reader",
    "cloudkms": "cloudkms.viewer",
    "cloudquotas": "cloudquotas.viewer",
    "compute": "compute.viewer",
    "iam": "iam.securityReviewer",
    "orgpolicy": "orgpolicy.policyViewer",
    "serviceusage": "serviceusage.serviceUsageViewer",
    "storage": "storage.bucketViewer",
}
"""The role that lets an account ask an API's questions; the others' are in roles/browser."""


def preflight(subject: Subject, api: GoogleApi) -> list[Finding]:
    """All findings, in the order of the checks; their calls are made at the same time.

    Nothing is changed, and no right beyond reading is needed. A call that is forbidden makes its check UNKNOWN.

    Args:
        subject: What is checked.
        api: Google's APIs with the caller's account.
    """
    place, job = begin(PLACE_CHECKS, subject, api), begin(JOB_CHECKS, subject, api)
    return [*place(), *job()]


def begin(checks: Sequence[tuple[str, Check]], subject: Subject, api: GoogleApi) -> Callable[[], list[Finding]]:
    """Begins to make the calls of some checks; what is returned waits for their findings."""
    pool = ThreadPoolExecutor(len(checks), thread_name_prefix="preflight")
    running = [pool.submit(_findings, name, check, subject, api) for name, check in checks]
    pool.shutdown(wait=False)
    return lambda: [finding for found in running for finding in found.result()]


def _findings(name: str, check: Check, subject: Subject, api: GoogleApi) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check(subject, api))
    except NotMade as error:
        found.append(_not_asked(name, error, subject, api))
    except Missing as error:
        found.append(Finding(name, "UNKNOWN", f"not found: {error}"))
    return found


def _not_asked(name: str, error: NotMade, subject: Subject, api: GoogleApi) -> Finding:
    """A question without an answer, with what lets it be asked; a disabled API that the job needs is a failure."""
    if error.disabled:
        service = error.host if not error.host.endswith("-aiplatform.googleapis.com") else "aiplatform.googleapis.com"
        status = "FAIL" if service in needed_services(subject) else "UNKNOWN"
        fix = f"gcloud services enable {service} --project={subject.project}"
        return Finding(name, status, f"{service} is not enabled in {subject.project}", fix)
    fix = ""
    if error.forbidden:
        api_name = error.host.removesuffix(".googleapis.com").rpartition("-")[2]
        role = _VIEWERS.get(api_name, "browser")
        member = api.account or "MEMBER"
        fix = f"gcloud projects add-iam-policy-binding {subject.project} --member={member} --role=roles/{role}"
    return Finding(name, "UNKNOWN", f"could not be asked: {error}", fix)
