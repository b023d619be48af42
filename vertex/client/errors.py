"""Translation of errors of Google's clients to `core.errors`: what was wrong, where, and the command that fixes it.

The status code alone decides whether a retry can help (https://grpc.io/docs/guides/status-codes/); the error's text
only improves the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from ...core.errors import LocalServiceError, TrainingError, VertexError, VertexUnavailable
from ..diagnosis import kind_of_refusal
from .call_context import CallContext
from .refusals import explain

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
"""The service refused the request: nothing was created."""

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
"""The request may have been carried out although the answer is missing."""

TRANSIENT = AMBIGUOUS | {Code.RESOURCE_EXHAUSTED}
"""Trying again later can help: lost answers, and quotas that refill."""

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


def is_call_error(error: BaseException) -> bool:
    """Whether an exception is one that Google's clients raise for a failed call."""
    import google.auth.exceptions
    from google.api_core.exceptions import GoogleAPIError
    from requests.exceptions import RequestException

    kinds = (GoogleAPIError, grpc.RpcError, google.auth.exceptions.GoogleAuthError, RequestException)
    return isinstance(error, (*kinds, ConnectionError, TimeoutError))


def code_of(error: BaseException) -> grpc.StatusCode:
    """The gRPC status code of an exception for which `is_call_error` is true.

    Exceptions without a code are lost connections (UNAVAILABLE) or unusable credentials (UNAUTHENTICATED).
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
def mapped(context: CallContext) -> Iterator[None]:
    """Translates exceptions of Google's clients; others pass unchanged."""
    try:
        yield
    except TrainingError:
        raise
    except Exception as error:
        if not is_call_error(error):
            raise
        raise translate(error, context) from error


def translate(error: BaseException, context: CallContext) -> TrainingError:
    """The error of `core.errors` for an exception of Google's clients.

    Raises:
        KeyError: The status code is in none of the tables; a test checks that all are.
    """
    code = code_of(error)
    text = _text(error)
    kind = kind_of_refusal(int(code.value[0]), text)
    return _unreachable(code, text, context, kind) if code in AMBIGUOUS else _refused(code, text, context, kind)


def _refused(code: grpc.StatusCode, text: str, context: CallContext, kind: str) -> VertexError:
    what, next_step = explain(code, text, context)
    error = VertexUnavailable if code in TRANSIENT else VertexError
    return error(what, where=context.resource, next_step=next_step, detail=text, kind=kind)


def _unreachable(code: grpc.StatusCode, text: str, context: CallContext, kind: str) -> TrainingError:
    if context.local:
        return LocalServiceError(
            f"the local Vertex AI service was lost while trying to {context.action}: {code.name} {text}",
            where=context.resource,
            next_step="Run again: its jobs are kept and found again",
            detail=text,
            transient=True,
        )
    return VertexUnavailable(
        f"Vertex AI gave no answer when asked to {context.action}: {code.name} {text}",
        where=context.resource,
        next_step="Run again in a minute: the job is found again if it was created",
        detail=text,
        kind=kind,
    )


def _text(error: BaseException) -> str:
    """The service's message in one line, with the field violations that it leaves out."""
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
