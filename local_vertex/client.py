"""gRPC channels to the service, for Google's clients, and calls of the service's own methods."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import grpc

from ..core.errors import LocalServiceError
from .endpoint import ADMIN_SERVICE, SET_FAULTS, STOP, LocalService

# gRPC would use the proxy of http_proxy even for loopback.
_OPTIONS = (("grpc.enable_http_proxy", 0),)
_ADMIN_SECONDS = 30.0


def open_channel(service: LocalService, *, tcp: bool = False) -> grpc.Channel:
    """A channel for a transport, for example `JobServiceGrpcTransport(channel=open_channel(service))`.

    The caller closes it.

    Args:
        service: As `ensure_running` returns it.
        tcp: Use TCP, with the token, instead of the unix socket.

    Raises:
        LocalServiceError: The service does not listen on TCP.
    """
    if not tcp:
        return grpc.insecure_channel(service.target, options=_OPTIONS)
    if service.tcp_target is None or service.token is None:
        raise LocalServiceError(
            "the local service does not listen on TCP",
            where=service.target,
            next_step="Stop it with `vertex-training local stop` and start it with `vertex-training local start --tcp`",
        )
    channel = grpc.insecure_channel(service.tcp_target, options=_OPTIONS)
    return grpc.intercept_channel(channel, _AddToken(service.token))


def set_faults(service: LocalService, changes: dict[str, Any]) -> dict[str, Any]:
    """Changes the fault injection of a running service.

    Args:
        service: A running service.
        changes: New values by name, see `faults.Faults`.

    Returns:
        All values by name.

    Raises:
        LocalServiceError: A name or value is invalid, or the service is gone.
    """
    return admin(service, SET_FAULTS, changes)


def request_stop(service: LocalService) -> None:
    """Asks a service to end; returns before it has ended.

    Raises:
        LocalServiceError: The service is gone.
    """
    admin(service, STOP)


def admin(service: LocalService, method: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
    """Calls one of the service's own methods.

    Args:
        service: A running service.
        method: `endpoint.SET_FAULTS` or `endpoint.STOP`.
        request: The method's request.

    Raises:
        LocalServiceError: The service refused the request, or is gone.
    """
    with open_channel(service) as channel:
        call = channel.unary_unary(f"/{ADMIN_SERVICE}/{method}")
        try:
            return json.loads(call(json.dumps(request or {}).encode(), timeout=_ADMIN_SECONDS))
        except grpc.RpcError as error:
            text = error.details() if isinstance(error, grpc.Call) else str(error)
            raise LocalServiceError(text or "no answer", where=f"local service, process {service.pid}") from error


Untyped: TypeAlias = Any  # gRPC's interceptors have no static types


class _Details(grpc.ClientCallDetails):
    """A call's details with other metadata; gRPC has no function to copy them."""

    def __init__(self, details: Untyped, metadata: list[tuple[str, str]]) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = tuple(metadata)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


class _AddToken(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Sends the token with every call. gRPC's call credentials would do the same, but only with TLS."""

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
