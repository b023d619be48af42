"""Explanations of refused calls: what was refused, and the command that fixes it.

The patterns come from real answers of the service. A text that none of them matches is shown as it is.
"""

from __future__ import annotations

import re

import grpc

from .call_context import LOG_IN, CallContext

Code = grpc.StatusCode

_FIELD = re.compile(r"\d+\.Field: (?P<field>.*?); Message: (?P<message>.*?)\s*(?=\d+\.Field: |$)")
_PERMISSION = re.compile(
    r"[Pp]ermission '?(?P<permission>[\w-]+\.[\w.]+)'? denied on resource '?(?://)?(?P<resource>[^' ]+)"
)
_ACT_AS = re.compile(r"permission to act as service_account:? (?P<account>[\w.@-]*\w)")
_LOCATION = re.compile(r"valid location ID is `(?P<region>[\w-]+)`")
_QUOTA = re.compile(r"quota metrics? exceed quota limits?: (?P<metric>[\w./-]+\w)")


def _invalid_argument(text: str, context: CallContext) -> tuple[str, str]:
    """INVALID_ARGUMENT means bad fields, the wrong endpoint, or (unexpectedly) a missing actAs permission."""
    if found := _ACT_AS.search(text):
        account = found["account"]
        return (
            f"no permission iam.serviceAccounts.actAs on the service account {account}, or it does not exist",
            (
                f"Run: gcloud iam service-accounts add-iam-policy-binding {account} --project={context.project}"
                f" --member={_member(context)} --role=roles/iam.serviceAccountUser"
            ),
        )
    if found := _LOCATION.search(text):
        return (
            f"the endpoint belongs to region {found['region']}, the request to {context.region}",
            f"Set the block's region to {found['region']}, or remove its endpoint",
        )
    fields = [f"{match['field']}: {match['message']}" for match in _FIELD.finditer(text)]
    return (
        f"Vertex AI refused to {context.action}: {'; '.join(fields) or text}",
        "Change what is named and run again",
    )


def _permission_denied(text: str, context: CallContext) -> tuple[str, str]:
    if "has not been used" in text or "is disabled" in text or "SERVICE_DISABLED" in text:
        service = next(iter(re.findall(r"\b[\w-]+\.googleapis\.com\b", text)), "aiplatform.googleapis.com")
        return (
            f"the API {service} is not enabled in project {context.project}",
            f"Run: gcloud services enable {service} --project={context.project}",
        )
    found = _PERMISSION.search(text)
    permission = found["permission"] if found else f"permission to {context.action}"
    resource = found["resource"] if found else context.resource
    who = context.account or "the caller"
    return f"{who} has no {permission} on {resource} ({text})", f"Run: {_grant(permission, context)}"


_ROLES = {
    "aiplatform": "roles/aiplatform.user",
    "storage": "roles/storage.objectUser",
    "logging": "roles/logging.viewer",
    "artifactregistry": "roles/artifactregistry.reader",
}


def _grant(permission: str, context: CallContext) -> str:
    service = permission.partition(".")[0]
    if "://" in context.resource or service == "storage":
        bucket = context.resource.removeprefix("gs://").partition("/")[0]
        return (
            f"gcloud storage buckets add-iam-policy-binding gs://{bucket}"
            f" --member={_member(context)} --role={_ROLES['storage']}"
        )
    role = _ROLES.get(service, _ROLES["logging" if "log" in context.action else "aiplatform"])
    return f"gcloud projects add-iam-policy-binding {context.project} --member={_member(context)} --role={role}"


def _member(context: CallContext) -> str:
    return context.account or "user:YOUR_ADDRESS"


def _unauthenticated(text: str, context: CallContext) -> tuple[str, str]:
    if context.local:
        return (
            f"local_vertex does not know this client: {text}",
            "Run `vertex-training local start` and use the token it prints",
        )
    return f"no usable Google credentials to {context.action}: {text}", LOG_IN


def _resource_exhausted(text: str, context: CallContext) -> tuple[str, str]:
    found = _QUOTA.search(text)
    if found and "requests" not in found["metric"]:
        return (
            f"the quota {found['metric']} of project {context.project} in {context.region} is used up",
            (
                "Wait for other jobs to end, use another region or machine, or ask for more at"
                f" https://console.cloud.google.com/iam-admin/quotas?project={context.project}"
            ),
        )
    return f"a quota of {context.project} is used up: {text}", "Wait a minute and run again"


def _failed_precondition(text: str, context: CallContext) -> tuple[str, str]:
    if "bucket" in text.lower() and ("location" in text or "region" in text):
        return (
            f"the bucket is not in the job's region {context.region}: {text}",
            (
                f"Name a bucket in {context.region}; to make one: gcloud storage buckets create gs://NAME"
                f" --project={context.project} --location={context.region}"
            ),
        )
    return f"Vertex AI can't {context.action} now: {text}", "Change what is named and run again"


def _not_found(text: str, context: CallContext) -> tuple[str, str]:
    return (
        f"not found while trying to {context.action}: {text}",
        f"Check the name, the project ({context.project}) and the region ({context.region})",
    )


def _refused(text: str, context: CallContext) -> tuple[str, str]:
    return f"Vertex AI refused to {context.action}: {text}", "Change what is named and run again"


def _unimplemented(text: str, context: CallContext) -> tuple[str, str]:
    return (
        f"the endpoint does not offer what is needed to {context.action}: {text}",
        "Check the block's endpoint",
    )


_EXPLANATIONS = {
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


def explain(code: grpc.StatusCode, text: str, context: CallContext) -> tuple[str, str]:
    """What was refused, and the next step.

    Raises:
        KeyError: The code is not in `errors.DEFINITE`.
    """
    return _EXPLANATIONS[code](text, context)
