"""Google's errors in our tree: what was wrong, where, and the command that mends it.

Whether a retry can help is decided by the status code alone (https://grpc.io/docs/guides/status-codes/), never by the
text; the text only makes the message better.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from ...core.errors import LocalServiceError, TrainingError, VertexError, VertexUnavailable
from ..diagnosis import kind_of_refusal
from .call_context import Scene
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
    translated = _unreachable(code, text, scene) if code in AMBIGUOUS else _refused(code, text, scene)
    if isinstance(translated, VertexError):
        translated.kind = kind_of_refusal(int(code.value[0]), text)
    return translated


def _refused(code: grpc.StatusCode, text: str, scene: Scene) -> VertexError:
    what, next_step = explain(code, text, scene)
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
