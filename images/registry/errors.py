"""What a registry's refusals mean: each as an error of our tree, with who asked and the next step."""

from __future__ import annotations

import json
import re
from typing import Any

import urllib3
from urllib3.exceptions import SSLError

from ...core.errors import RegistryDenied, RegistryError, RegistryUnavailable
from .artifact_registry import ArtifactRepository

BODY_LIMIT = 64 * 1024
"""Bytes of an answer that are read for its words."""

_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
_LONGEST_WAIT = 60.0


def refusal(
    answer: urllib3.BaseHTTPResponse, body: bytes, *, method: str, host: str, repository: str, who: str
) -> RegistryError:
    """What an answer that nobody wanted means.

    Args:
        answer: Its status and headers.
        body: Its beginning.
        method: Of the request.
        host: Asked.
        repository: Asked for.
        who: Asked.
    """
    code, message = _said(body)
    said = f": {message}" if message else ""
    where = f"{host}/{repository}"
    if answer.status in (401, 403):
        return RegistryDenied(
            f"the registry refused {who} ({answer.status}){said}", where=where, next_step=grant(host, repository, who)
        )
    if answer.status in _AGAIN:
        return RegistryUnavailable(
            f"the registry answered {answer.status} to {method}{said}",
            where=where,
            next_step="Run again in a while",
            retry_after=_retry_after(answer.headers.get("Retry-After")),
        )
    if _is_html(answer, body):
        return RegistryError(
            f"this host answers {answer.status} with a web page, not as a registry",
            where=host,
            next_step="Check the registry's host name",
        )
    return RegistryError(
        f"the registry answered {answer.status} to {method}{said}",
        where=where,
        next_step="Check the image's name and that the repository exists",
        code=code,
        status=answer.status,
    )


def grant(host: str, repository: str, who: str) -> str:
    """The next step for whoever was refused: the command that grants the right, or the login."""
    place = ArtifactRepository.of(host, repository)
    if place is None:
        return f"Run: docker login {host}, or name a block with credentials that may push there"
    kind = "serviceAccount" if who.endswith(".gserviceaccount.com") else "user"
    member = f"{kind}:{who}" if "@" in who else "user:YOUR_ACCOUNT (gcloud auth list shows it)"
    return (
        f"Run: gcloud artifacts repositories add-iam-policy-binding {place.name} --project {place.project} "
        f"--location {place.location} --role roles/artifactregistry.writer --member {member}"
    )


def _said(body: bytes) -> tuple[str, str]:
    """The registry's own code and words; https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes."""
    try:
        first: dict[str, Any] = json.loads(body)["errors"][0]
        return str(first.get("code", "")), " ".join(f"{first.get('code', '')} {first.get('message', '')}".split())
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "", ""


def _is_html(answer: urllib3.BaseHTTPResponse, body: bytes) -> bool:
    return "html" in answer.headers.get("Content-Type", "") or body.lstrip()[:1] == b"<"


def _retry_after(value: str | None) -> float:
    """Seconds; a date is not honoured, for clocks differ."""
    return min(float(value), _LONGEST_WAIT) if value and value.isdigit() else 0.0


def no_answer(error: Exception, who: str, host: str) -> RegistryError:
    """Why a request wasn't answered; a certificate that isn't trusted is no reason to try again."""
    cause = getattr(error, "reason", None) or error  # urllib3 wraps what ended its last attempt
    if isinstance(cause, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(cause):
        return RegistryError(
            f"the certificate of {who} can't be trusted: {reason(error)}",
            where=host,
            next_step="Add the registry's authority to this machine, or set SSL_CERT_FILE",
        )
    return RegistryUnavailable(
        f"no answer from {who}: {reason(error)}",
        where=host,
        next_step="Check the host's name and your network, then run again",
    )


def reason(error: BaseException) -> str:
    """The innermost cause, without addresses of objects and without the host, which the message names anyway."""
    text = str(getattr(error, "reason", None) or error)
    return re.sub(r"(<[^>]*>|HTTPS?Connection(Pool)?\([^)]*\)):?\s*", "", text) or type(error).__name__
