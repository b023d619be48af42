"""The token that callers over TCP must send."""

from __future__ import annotations

import hmac

from .status import ApiError, Code


def check_token(header: str | bytes | None, token: str | None) -> None:
    """Raises `ApiError` unless an authorization header has the token; without a token, all calls are refused."""
    sent = header.encode() if isinstance(header, str) else header or b""
    if token is None or not hmac.compare_digest(sent, f"Bearer {token}".encode()):
        raise ApiError(
            Code.UNAUTHENTICATED,
            "Request had invalid authentication credentials: send `authorization: Bearer TOKEN` with the token that"
            " `vertex-training local status --connect` prints.",
        )
