"""gRPC channels to a server on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc


class _Details(NamedTuple):
    """A call's details with one more metadata entry; gRPC asks for these names."""

    method: str
    timeout: float | None
    metadata: list[tuple[str, str]]
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Token(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Sends the server's token with every call."""

    def __init__(self, token: str) -> None:
        self.token = token

    def _send(self, proceed: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:  # noqa: ANN401 - gRPC's own types are untyped
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self.token}")]
        return proceed(
            _Details(
                details.method,
                details.timeout,
                metadata,
                details.credentials,
                details.wait_for_ready,
                details.compression,
            ),
            request,
        )

    intercept_unary_unary = _send  # pyright: ignore[reportAssignmentType]
    intercept_unary_stream = _send  # pyright: ignore[reportAssignmentType]
    intercept_stream_stream = _send  # pyright: ignore[reportAssignmentType]


def plain_channel(target: str, token: str | None) -> grpc.Channel:
    """A channel without TLS that no proxy setting leads astray.

    gRPC obeys http_proxy even for 127.0.0.1. Reconnecting starts at once: the server is near, or gone.
    """
    options = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    channel = grpc.insecure_channel(target, options=options)
    return grpc.intercept_channel(channel, _Token(token)) if token else channel
