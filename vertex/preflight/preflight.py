"""Runs all checks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from .finding import Finding
from .google_api import GoogleApi, Missing, NotMade
from .places import check_bucket, check_offer, check_repository, check_tensorboard
from .quotas import check_quotas
from .rights import (
    check_acting_as,
    check_bucket_of_job,
    check_bucket_rights,
    check_image_pull,
    check_project_rights,
    check_repository_rights,
)
from .services import check_services
from .subject import Subject

Check = Callable[[Subject, GoogleApi], Iterator[Finding]]

CHECKS: Sequence[tuple[str, Check]] = (
    ("enabled services", check_services),
    ("rights to run jobs", check_project_rights),
    ("rights to push", check_repository_rights),
    ("rights to the bucket", check_bucket_rights),
    ("account of the job", check_acting_as),
    ("pull by Vertex AI", check_image_pull),
    ("bucket of the job", check_bucket_of_job),
    ("quotas", check_quotas),
    ("bucket", check_bucket),
    ("repository", check_repository),
    ("TensorBoard", check_tensorboard),
    ("region", check_offer),
)
"""Every check, with what is unknown if its call is not made."""


def preflight(subject: Subject, api: GoogleApi) -> list[Finding]:
    """All findings, in the order of the checks; their calls are made at the same time.

    Nothing is changed, and no right beyond reading is needed. A call that is forbidden makes its check UNKNOWN.

    Args:
        subject: What is checked.
        api: Google's APIs with the caller's account.
    """
    with ThreadPoolExecutor(len(CHECKS), thread_name_prefix="preflight") as pool:
        running = [pool.submit(_findings, name, check, subject, api) for name, check in CHECKS]
        return [finding for found in running for finding in found.result()]


def _findings(name: str, check: Check, subject: Subject, api: GoogleApi) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check(subject, api))
    except NotMade as error:
        found.append(Finding(name, "UNKNOWN", f"could not be asked: {error}"))
    except Missing as error:
        found.append(Finding(name, "UNKNOWN", f"not found: {error}"))
    return found
