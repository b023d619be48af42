"""How a client reaches the service over gRPC: a channel for Google's own transports."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import grpc

from ..core.errors import LocalServiceError
from .endpoint import LocalService

# gRPC would ask the machine's http_proxy for the way to its own loopback.
OPTIONS = (("grpc.enable_http_proxy", 0),)


def open_channel(service: LocalService, *, tcp: bool = False) -> grpc.Channel:
    """A channel, as in `JobServiceGrpcTransport(channel=open_channel(service))`; to be closed by its user.

    Args:
        service: As `ensure_running` returns it.
        tcp: Through TCP, with the token, instead of the unix socket.

    Raises:
        LocalServiceError: The service does not listen on TCP.
    """
    if not tcp:
        return grpc.insecure_channel(service.target, options=OPTIONS)
    if service.tcp_target is None or service.token is None:
        raise LocalServiceError(
            "the local service does not listen on TCP",
            where=service.target,
            next_step="End it with `vertex-training local stop` and start it with `vertex-training local start --tcp`",
        )
    channel = grpc.insecure_channel(service.tcp_target, options=OPTIONS)
    return grpc.intercept_channel(channel, _Token(service.token))


def open_aio_channel(service: LocalService) -> grpc.aio.Channel:
    """The same for asyncio, through the unix socket: `JobServiceGrpcAsyncIOTransport(channel=...)`."""
    return grpc.aio.insecure_channel(service.target, options=OPTIONS)


def admin(service: LocalService, method: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
    """Calls a method of our own beside Google's.

    Args:
        service: A running one.
        method: "Switches" (changes in, all values out) or "Stop".
        request: What it takes.

    Raises:
        LocalServiceError: It refused, or is gone.
    """
    with open_channel(service) as channel:
        call = channel.unary_unary(f"/prefect_vertex_training.local.Admin/{method}")
        try:
            return json.loads(call(json.dumps(request or {}).encode(), timeout=30))
        except grpc.RpcError as error:
            text = error.details() if isinstance(error, grpc.Call) else str(error)
            raise LocalServiceError(text or "no answer", where=f"local service, process {service.pid}") from error


Untyped: TypeAlias = Any  # gRPC's interceptors have no static types


class _Details(grpc.ClientCallDetails):
    """A call's details with other metadata; gRPC offers no way to copy them."""

    def __init__(self, details: Untyped, metadata: list[tuple[str, str]]) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = tuple(metadata)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


class _Token(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Sends the token with every call. Call credentials would do the same, but gRPC refuses them without TLS."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def _with_token(self, details: grpc.ClientCallDetails) -> _Details:
        return _Details(details, [*(getattr(details, "metadata", None) or ()), self._header])

    def intercept_unary_unary(self, continuation: Untyped, client_call_details: Untyped, request: Untyped) -> Untyped:
        return continuation(self._with_token(client_call_details), request)

    def intercept_stream_stream(
        self, continuation: Untyped, client_call_details: Untyped, request_iterator: Untyped
    ) -> Untyped:
        return continuation(self._with_token(client_call_details), request_iterator)
