"""The token that callers over TCP must send."""

from __future__ import annotations

import hmac

from .status import ApiError, Code, ErrorInfo


def check_token(header: str | bytes | None, token: str | None) -> None:
    """Raises `ApiError` unless an authorization header has the token; without a token, all calls are refused."""
    sent = header.encode("latin-1", "replace") if isinstance(header, str) else header or b""
    scheme, _, value = sent.partition(b" ")
    if token is None or scheme.lower() != b"bearer" or not hmac.compare_digest(value.strip(), token.encode()):
        reason = "ACCESS_TOKEN_TYPE_UNSUPPORTED" if sent else "CREDENTIALS_MISSING"
        raise ApiError(
            Code.UNAUTHENTICATED,
            "Request had invalid authentication credentials: send `authorization: Bearer TOKEN` with the token that"
            " `vertex-training local status --connect` prints.",
            info=ErrorInfo(reason, "googleapis.com", {}),
        )
