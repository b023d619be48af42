"""API errors, which are google.rpc.Status over gRPC and REST."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from .schema import Schema


class Code(IntEnum):
    """The values of google.rpc.Code that are used here."""

    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
"""https://cloud.google.com/apis/design/errors#handling_errors."""


class Violation(NamedTuple):
    """An invalid field: its path in the request, and what is wrong with it."""

    field: str
    description: str


class ApiError(Exception):
    """A failed API call.

    Args:
        code: The status code.
        message: The text for people.
        violations: The invalid fields.
    """

    def __init__(self, code: Code, message: str, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = violations

    def status(self, schema: Schema) -> object:
        """The google.rpc.Status, with a google.rpc.BadRequest for invalid fields."""
        status = schema["google.rpc.Status"](code=int(self.code), message=self.message)
        if self.violations:
            details = schema["google.rpc.BadRequest"]()
            for field, description in self.violations:
                details.field_violations.add(field=field, description=description)
            status.details.add().Pack(details)
        return status


def invalid(violations: Sequence[Violation]) -> ApiError:
    """The error for invalid fields, with the text of the real service."""
    listed = "".join(
        f"{number}.Field: {field}; Message: {description}\t"
        for number, (field, description) in enumerate(violations, start=1)
    )
    return ApiError(Code.INVALID_ARGUMENT, f"List of found errors:\t{listed} ", violations)
