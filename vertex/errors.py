"""Google's errors in our tree: what was wrong, where, and the command that mends it.

Whether a retry can help is decided by the status code alone (https://grpc.io/docs/guides/status-codes/), never by the
text; the text only makes the message better.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from ..core.errors import LocalServiceError, TrainingError, VertexError, VertexUnavailable

Code = grpc.StatusCode

DEFINITE = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.PERMISSION_DENIED,
        Code.UNAUTHENTICATED,
        Code.RESOURCE_EXHAUSTED,
        Code.FAILED_PRECONDITION,
        Code.OUT_OF_RANGE,
        Code.UNIMPLEMENTED,
    }
)
"""The service looked at the request and refused it: nothing was created."""

AMBIGUOUS = frozenset(
    {
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.INTERNAL,
        Code.UNKNOWN,
        Code.ABORTED,
        Code.CANCELLED,
        Code.DATA_LOSS,
    }
)
"""The request may have been carried out although no answer came."""

TRANSIENT = AMBIGUOUS | {Code.RESOURCE_EXHAUSTED}
"""Asking again, later, can help: lost answers, and quotas that refill."""

_FROM_HTTP = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    408: Code.DEADLINE_EXCEEDED,
    409: Code.ABORTED,
    412: Code.FAILED_PRECONDITION,
    416: Code.OUT_OF_RANGE,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a call was made, for messages.

    Attributes:
        action: What was tried, as "create the training job".
        resource: What it was tried on: a parent, a job's name, a bucket.
        project: The project's id.
        region: As "europe-west4".
        account: Who asked, as IAM writes it ("serviceAccount:a@b"); empty when unknown.
        local: The call went to local_vertex on this machine.
    """

    action: str
    resource: str
    project: str
    region: str
    account: str = ""
    local: bool = False


def is_call_error(error: BaseException) -> bool:
    """True for everything that Google's clients raise when a call fails, refused or lost."""
    import google.auth.exceptions
    from google.api_core.exceptions import GoogleAPIError
    from requests.exceptions import RequestException

    kinds = (GoogleAPIError, grpc.RpcError, google.auth.exceptions.GoogleAuthError, RequestException)
    return isinstance(error, (*kinds, ConnectionError, TimeoutError))


def code_of(error: BaseException) -> grpc.StatusCode:
    """The status code of anything for which `is_call_error` is true.

    Errors with no code of their own are lost connections (UNAVAILABLE), or credentials that can't be used
    (UNAUTHENTICATED).
    """
    import google.auth.exceptions
    from google.api_core.exceptions import GoogleAPICallError

    if isinstance(error, GoogleAPICallError):
        return error.grpc_status_code or _FROM_HTTP.get(int(error.code or 0), Code.UNKNOWN)
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", None)
        return code() if callable(code) else Code.UNKNOWN  # pyright: ignore[reportReturnType]
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        return Code.UNAVAILABLE if error.retryable else Code.UNAUTHENTICATED
    return Code.UNAVAILABLE


@contextmanager
def mapped(scene: Scene) -> Iterator[None]:
    """Turns what Google's clients raise into our tree; other errors pass unchanged."""
    try:
        yield
    except TrainingError:
        raise
    except Exception as error:
        if not is_call_error(error):
            raise
        raise translate(error, scene) from error


def translate(error: BaseException, scene: Scene) -> TrainingError:
    """Our error for one of Google's: named resource, next step, and whether a retry can help.

    Raises:
        KeyError: The status code is in none of our tables; a test keeps that from happening.
    """
    code = code_of(error)
    text = _text(error)
    if code in AMBIGUOUS:
        return _unreachable(code, text, scene)
    what, next_step = _REFUSALS[code](text, scene)
    kind = VertexUnavailable if code in TRANSIENT else VertexError
    return kind(what, where=scene.resource, next_step=next_step, detail=text)


def _unreachable(code: grpc.StatusCode, text: str, scene: Scene) -> TrainingError:
    if scene.local:
        return LocalServiceError(
            f"the local Vertex AI service was lost while trying to {scene.action}: {code.name} {text}",
            where=scene.resource,
            next_step="Run again: its jobs are kept and found again",
            detail=text,
            transient=True,
        )
    return VertexUnavailable(
        f"Vertex AI gave no answer when asked to {scene.action}: {code.name} {text}",
        where=scene.resource,
        next_step="Run again in a minute: the job is found again if it was created",
        detail=text,
    )


def _text(error: BaseException) -> str:
    """The service's own words in one line, with the field violations that the text leaves out."""
    details = getattr(error, "details", None)
    message = getattr(error, "message", None) or (details() if callable(details) else None) or str(error)
    text = " ".join(str(message).split())
    missing = [
        f"{violation.field}: {violation.description}"
        for detail in (details if isinstance(details, (list, tuple)) else ())
        for violation in getattr(detail, "field_violations", ())
        if violation.description not in text
    ]
    return "; ".join([text, *missing])


LOG_IN = "Run `gcloud auth application-default login`, or give the VertexAI block a GcpCredentials block"

_FIELD = re.compile(r"\d+\.Field: (?P<field>.*?); Message: (?P<message>.*?)\s*(?=\d+\.Field: |$)")
_PERMISSION = re.compile(
    r"[Pp]ermission '?(?P<permission>[\w-]+\.[\w.]+)'? denied on resource '?(?://)?(?P<resource>[^' ]+)"
)
_ACT_AS = re.compile(r"permission to act as service_account:? (?P<account>[\w.@-]*\w)")
_LOCATION = re.compile(r"valid location ID is `(?P<region>[\w-]+)`")
_QUOTA = re.compile(r"quota metrics? exceed quota limits?: (?P<metric>[\w./-]+\w)")


def _invalid_argument(text: str, scene: Scene) -> tuple[str, str]:
    """INVALID_ARGUMENT covers bad fields, the wrong endpoint, and (oddly) a missing actAs right."""
    if found := _ACT_AS.search(text):
        account = found["account"]
        return (
            f"no permission iam.serviceAccounts.actAs on the service account {account}, or it does not exist",
            (
                f"Run: gcloud iam service-accounts add-iam-policy-binding {account} --project={scene.project}"
                f" --member={_member(scene)} --role=roles/iam.serviceAccountUser"
            ),
        )
    if found := _LOCATION.search(text):
        return (
            f"the endpoint belongs to region {found['region']}, the request to {scene.region}",
            f"Set the block's region to {found['region']}, or remove its endpoint",
        )
    fields = [f"{match['field']}: {match['message']}" for match in _FIELD.finditer(text)]
    return (
        f"Vertex AI refused to {scene.action}: {'; '.join(fields) or text}",
        "Change what is named and run again",
    )


def _permission_denied(text: str, scene: Scene) -> tuple[str, str]:
    if "has not been used" in text or "is disabled" in text or "SERVICE_DISABLED" in text:
        service = next(iter(re.findall(r"\b[\w-]+\.googleapis\.com\b", text)), "aiplatform.googleapis.com")
        return (
            f"the API {service} is not enabled in project {scene.project}",
            f"Run: gcloud services enable {service} --project={scene.project}",
        )
    found = _PERMISSION.search(text)
    permission = found["permission"] if found else f"permission to {scene.action}"
    resource = found["resource"] if found else scene.resource
    who = scene.account or "the caller"
    return f"{who} has no {permission} on {resource} ({text})", f"Run: {_grant(permission, scene)}"


_ROLES = {
    "aiplatform": "roles/aiplatform.user",
    "storage": "roles/storage.objectUser",
    "logging": "roles/logging.viewer",
    "artifactregistry": "roles/artifactregistry.reader",
}


def _grant(permission: str, scene: Scene) -> str:
    service = permission.partition(".")[0]
    if "://" in scene.resource or service == "storage":
        bucket = scene.resource.removeprefix("gs://").partition("/")[0]
        return (
            f"gcloud storage buckets add-iam-policy-binding gs://{bucket}"
            f" --member={_member(scene)} --role={_ROLES['storage']}"
        )
    role = _ROLES.get(service, _ROLES["logging" if "log" in scene.action else "aiplatform"])
    return f"gcloud projects add-iam-policy-binding {scene.project} --member={_member(scene)} --role={role}"


def _member(scene: Scene) -> str:
    return scene.account or "user:YOUR_ADDRESS"


def _unauthenticated(text: str, scene: Scene) -> tuple[str, str]:
    if scene.local:
        return (
            f"local_vertex does not know this client: {text}",
            "Run `vertex-training local start` and use the token it prints",
        )
    return f"no usable Google credentials to {scene.action}: {text}", LOG_IN


def _resource_exhausted(text: str, scene: Scene) -> tuple[str, str]:
    found = _QUOTA.search(text)
    if found and "requests" not in found["metric"]:
        return (
            f"the quota {found['metric']} of project {scene.project} in {scene.region} is used up",
            (
                "Wait for other jobs to end, use another region or machine, or ask for more at"
                f" https://console.cloud.google.com/iam-admin/quotas?project={scene.project}"
            ),
        )
    return f"a quota of {scene.project} is used up: {text}", "Wait a minute and run again"


def _failed_precondition(text: str, scene: Scene) -> tuple[str, str]:
    if "bucket" in text.lower() and ("location" in text or "region" in text):
        return (
            f"the bucket is not in the job's region {scene.region}: {text}",
            (
                f"Name a bucket in {scene.region}; to make one: gcloud storage buckets create gs://NAME"
                f" --project={scene.project} --location={scene.region}"
            ),
        )
    return f"Vertex AI can't {scene.action} now: {text}", "Change what is named and run again"


def _not_found(text: str, scene: Scene) -> tuple[str, str]:
    return (
        f"not found while trying to {scene.action}: {text}",
        f"Check the name, the project ({scene.project}) and the region ({scene.region})",
    )


def _refused(text: str, scene: Scene) -> tuple[str, str]:
    return f"Vertex AI refused to {scene.action}: {text}", "Change what is named and run again"


def _unimplemented(text: str, scene: Scene) -> tuple[str, str]:
    return (
        f"the endpoint does not offer what is needed to {scene.action}: {text}",
        "Check the block's endpoint",
    )


_REFUSALS = {
    Code.INVALID_ARGUMENT: _invalid_argument,
    Code.NOT_FOUND: _not_found,
    Code.ALREADY_EXISTS: _refused,
    Code.PERMISSION_DENIED: _permission_denied,
    Code.UNAUTHENTICATED: _unauthenticated,
    Code.RESOURCE_EXHAUSTED: _resource_exhausted,
    Code.FAILED_PRECONDITION: _failed_precondition,
    Code.OUT_OF_RANGE: _refused,
    Code.UNIMPLEMENTED: _unimplemented,
}
