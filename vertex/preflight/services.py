"""Whether the APIs that a run uses are enabled in its project."""

from __future__ import annotations

from collections.abc import Iterator

from .check_result import Finding
from .google_api import GoogleApi
from .subject import Subject

_HOST = "serviceusage.googleapis.com"
_ALWAYS = ("aiplatform.googleapis.com", "storage.googleapis.com", "logging.googleapis.com")


def needed_services(subject: Subject) -> list[str]:
    """The APIs that the job uses."""
    registry = ["artifactregistry.googleapis.com"] if subject.repository else []
    keys = ["cloudkms.googleapis.com"] if subject.encryption_key else []
    return [*_ALWAYS, *registry, *keys]


def check_services(subject: Subject, api: GoogleApi) -> Iterator[Finding]:
    """One finding for each API.

    https://cloud.google.com/service-usage/docs/reference/rest/v1/services/batchGet
    """
    wanted = needed_services(subject)
    names = [f"projects/{subject.project}/services/{service}" for service in wanted]
    answer = api.get(_HOST, f"v1/projects/{subject.project}/services:batchGet", {"names": names})
    states = {str(found.get("name", "")).rpartition("/")[2]: found.get("state") for found in answer.get("services", ())}
    for service in wanted:
        if states.get(service) == "ENABLED":
            yield Finding(f"service {service}", "PASS", "enabled")
        else:
            fix = f"gcloud services enable {service} --project={subject.project}"
            yield Finding(f"service {service}", "FAIL", f"not enabled in {subject.project}", fix)
