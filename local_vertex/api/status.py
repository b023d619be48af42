"""API errors, which are google.rpc.Status over gRPC and REST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple
from urllib.parse import quote

from .schema import Schema


class Code(IntEnum):
    """The values of google.rpc.Code that are used here."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
"""https://cloud.google.com/apis/design/errors#handling_errors."""

# A client's gRPC library accepts 8 KiB of headers by default; text and details share them, encoded.
_MAX_TEXT = 2000
_MAX_DETAILS = 3000


class Violation(NamedTuple):
    """An invalid field: its path in the request, and what is wrong with it."""

    field: str
    description: str


class ErrorInfo(NamedTuple):
    """The google.rpc.ErrorInfo of an error, for programs: https://google.aip.dev/193."""

    reason: str
    domain: str
    metadata: Mapping[str, str]


class ApiError(Exception):
    """A failed API call.

    Args:
        code: The status code.
        message: The text for people.
        violations: The invalid fields.
        info: The reason for programs.
        rest_details: Whether the answer over REST has the details, too.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        violations: Sequence[Violation] = (),
        *,
        info: ErrorInfo | None = None,
        rest_details: bool = True,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = violations
        self.info = info
        self._rest_details = rest_details

    def status(self, schema: Schema) -> object:
        """The google.rpc.Status for REST."""
        return self._status(schema, self.message, self.violations if self._rest_details else ())

    def grpc_status(self, schema: Schema) -> object:
        """The google.rpc.Status for gRPC, whose text and details are headers.

        A header that ends in a blank is invalid, and arrives empty in Node; so no text ends in one here. What is too
        long for a header is cut, or the client would see a protocol error instead.
        """
        violations = list(self.violations)
        status: Any = self._status(schema, _for_header(self.message), violations)
        while violations and status.ByteSize() > _MAX_DETAILS + _MAX_TEXT:
            del violations[len(violations) // 2 :]
            status = self._status(schema, _for_header(self.message), violations)
        return status

    def _status(self, schema: Schema, message: str, violations: Sequence[Violation]) -> object:
        status = schema["google.rpc.Status"](code=int(self.code), message=message)
        if violations:
            details = schema["google.rpc.BadRequest"]()
            for field, description in violations:
                details.field_violations.add(field=field, description=description)
            status.details.add().Pack(details)
        if self.info is not None:
            info = schema["google.rpc.ErrorInfo"](reason=self.info.reason, domain=self.info.domain)
            info.metadata.update(self.info.metadata)
            status.details.add().Pack(info)
        return status


def invalid(violations: Sequence[Violation], *, ending: str = "\t ") -> ApiError:
    """The error for invalid fields, with the text of the real service.

    Args:
        violations: The invalid fields, in their order.
        ending: Custom jobs were seen to end this text with a tab and a blank, other resources with a tab.
    """
    listed = "\t".join(
        f"{number}.Field: {field}; Message: {description}"
        for number, (field, description) in enumerate(violations, start=1)
    )
    return ApiError(Code.INVALID_ARGUMENT, f"List of found errors:\t{listed}{ending}", violations)


def invalid_name(kind: str) -> ApiError:
    """The error for the name of a resource that has not the form of one, recorded for several kinds.

    Args:
        kind: The resource's type, for example "CustomJob".
    """
    violation = Violation("name", f"Invalid {kind} resource name.")
    text = f"List of found errors:\t1.Field: name; Message: {violation.description}\t"
    return ApiError(Code.INVALID_ARGUMENT, text, [violation], rest_details=False)


def denied(permission: str, resource: str, service: str = "aiplatform.googleapis.com") -> ApiError:
    """The error for a project that isn't served: to its callers it looks like a project of somebody else.

    Args:
        permission: For example "aiplatform.customJobs.create".
        resource: For example "projects/other/locations/us-central1".
        service: The API's host.
    """
    shown = f"//{service}/{resource}" if service.startswith("aiplatform") else resource
    return ApiError(
        Code.PERMISSION_DENIED,
        f"Permission '{permission}' denied on resource '{shown}' (or it may not exist).",
        info=ErrorInfo("IAM_PERMISSION_DENIED", service, {"permission": permission, "resource": resource}),
    )


SERVED = (
    "local_vertex serves custom jobs, training pipelines for custom tasks and their models, persistent resources,"
    " operations and locations of Vertex AI, and the log entries of Cloud Logging."
)


def unimplemented(what: str, hint: str = "") -> ApiError:
    """The error for something of Google's that isn't served; it says what is.

    Args:
        what: A method, for example "google.cloud.aiplatform.v1.ModelService/GetModel", a path, or a field.
        hint: What to do instead.
    """
    text = f"{what} is not served on this machine. {SERVED}"
    return ApiError(Code.UNIMPLEMENTED, f"{text} {hint}".rstrip())


def _for_header(text: str) -> str:
    if len(quote(text, safe=" ")) > _MAX_TEXT:
        while len(quote(text, safe=" ")) > _MAX_TEXT:
            text = text[: len(text) * 3 // 4]
        text = f"{text} ..."
    return text.rstrip(" ")
