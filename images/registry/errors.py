"""Turns a registry's error responses into errors of `core.errors`, with the account and the next step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from urllib3.exceptions import ProxyError, SSLError

from ...core.errors import RegistryDenied, RegistryError, RegistryUnavailable
from ...core.security.parsed_text import parse_json
from .artifact_registry import ArtifactRepository

BODY_LIMIT = 64 * 1024
"""Bytes of an error response that are read for its message."""

_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))
_MAX_RETRY_AFTER = 60.0
_MESSAGES = ("message", "details", "error_description", "detail", "error")
_LONGEST = 500
"""Characters of a server's message that are shown."""


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, method: str, host: str, repository: str, account: str
) -> RegistryError:
    """The error for a response with an unexpected status.

    Args:
        status: The response's status.
        headers: Its headers.
        body: The first BODY_LIMIT bytes of its body.
        method: The request's method.
        host: The registry's host.
        repository: The repository that was requested.
        account: The account that sent the request, for the message.
    """
    code, message = _code_and_message(body, headers.get("Content-Type", ""))
    detail = f": {message}" if message else ""
    where = f"{host}/{repository}"
    if status in (401, 403):
        return RegistryDenied(
            f"the registry refused {account} ({status}){detail}",
            where=where,
            next_step=permission_hint(host, repository, account),
            code=code,
            status=status,
        )
    if status in _TRANSIENT:
        return RegistryUnavailable(
            f"the registry answered {status} to {method}{detail}",
            where=where,
            next_step="Run again in a while",
            retry_after=_retry_after(headers),
        )
    if _is_html(headers, body):
        return RegistryError(
            f"this host answers {status} with a web page, not as a registry",
            where=host,
            next_step="Check the registry's host name",
        )
    return RegistryError(
        f"the registry answered {status} to {method}{detail}",
        where=where,
        next_step="Check the image's name and that the repository exists",
        code=code,
        status=status,
    )


def permission_hint(host: str, repository: str, account: str) -> str:
    """The next step after a refusal: the command that grants the permission, or the one that logs in."""
    found = ArtifactRepository.of(host, repository)
    if found is None:
        return f"Run: docker login {host}, or name a block with credentials that may push there"
    kind = "serviceAccount" if account.endswith(".gserviceaccount.com") else "user"
    member = f"{kind}:{account}" if "@" in account else "user:YOUR_ACCOUNT (gcloud auth list shows it)"
    return (
        f"Run: gcloud artifacts repositories add-iam-policy-binding {found.name} --project {found.project} "
        f"--location {found.location} --role roles/artifactregistry.writer --member {member}"
    )


def _code_and_message(body: bytes, kind: str) -> tuple[str, str]:
    """The registry's error code and message; https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes.

    Token servers and gateways have other forms: Docker Hub's has `details`, Quay's `message`, OAuth 2 a code in `error`
    and a text in `error_description`, Amazon's a line of plain text.
    """
    try:
        document: dict[str, Any] = parse_json(body)
        errors = document.get("errors")
        first: dict[str, Any] = errors[0] if errors else document
        code = _readable(str(first.get("code", "")))
        texts = (str(first[name]) for name in _MESSAGES if isinstance(first.get(name), (str, int)))
        return code, " ".join(f"{code} {_readable(next(texts, ''))}".split())
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return "", " ".join(_readable(body.decode(errors="replace")).split()) if kind.startswith("text/plain") else ""


def _readable(text: str) -> str:
    """A server's text without control characters, which could draw in a terminal, and of a bearable length."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."


def _is_html(headers: Mapping[str, str], body: bytes) -> bool:
    return "html" in headers.get("Content-Type", "") or body.lstrip()[:1] == b"<"


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait; those until a date count from the answer's own date, because clocks differ."""
    value = headers.get("Retry-After", "")
    try:
        seconds = float(value) if value[:1].isdigit() else _time(value) - _time(headers.get("Date", ""))
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)


def _time(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()


def connection_error(error: Exception, server: str, host: str) -> RegistryError:
    """The error for a request without an answer: transient, unless the server's certificate isn't trusted."""
    cause = getattr(error, "reason", None) or error  # urllib3 wraps what ended its last attempt
    if isinstance(cause, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(cause):
        return RegistryError(
            f"the certificate of {server} can't be trusted: {root_cause(error)}",
            where=host,
            next_step="Add the registry's certificate authority to this machine, or set SSL_CERT_FILE",
        )
    return RegistryUnavailable(
        f"no answer from {server}: {root_cause(error)}",
        where=host,
        next_step="Check the host's name and your network, then run again",
    )


def root_cause(error: BaseException) -> str:
    """The innermost cause as text, without object addresses and without the host, which the message names anyway."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, ProxyError):
        return f"by the proxy of this machine's settings: {root_cause(cause.original_error)}"
    text = str(cause)
    return re.sub(r"(<[^>]*>|(HTTPS?Connection(Pool)?|Secure|Plain)\([^)]*\)):?\s*", "", text) or type(error).__name__
