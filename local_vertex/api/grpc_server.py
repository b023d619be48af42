"""The API over gRPC, on a unix socket and optionally on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc

from ...core.errors import LocalServiceError
from .authorization import check_token
from .dispatcher import LOGGING, V1, Dispatcher, Method
from .logs import LogsApi
from .names import Caller
from .schema import Generated, Schema
from .status import ApiError, Code, unimplemented

# Every open TailLogEntries stream holds a thread.
_THREADS = 64
_CODES = {code.value[0]: code for code in grpc.StatusCode}

V1BETA1 = f"{V1}beta1"

RegionOf = Callable[[str], str]
"""The region of the endpoint that a peer called, by the peer's address; empty for an endpoint of all regions."""

AdminMethod = Callable[[dict[str, Any]], dict[str, Any]]
"""A method of our own: JSON objects in and out."""


class GrpcServer:
    """A gRPC server. Call `listen` at least once, then `start`.

    Args:
        dispatcher: The methods with one response.
        logs: For TailLogEntries, which streams.
        schema: The message classes.
        admin: Our own methods, by service and name.
        token: The token that callers over TCP must send; callers through the unix socket need none.
        region_of: Tells the endpoint that a caller over TCP used.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        logs: LogsApi,
        schema: Schema,
        admin: Mapping[str, Mapping[str, AdminMethod]],
        token: str | None,
        *,
        region_of: RegionOf = lambda _: "",
    ) -> None:
        self._region_of = region_of
        self._dispatcher = dispatcher
        self._logs = logs
        self._schema = schema
        self._token = token
        self._stopping = False
        # Without SO_REUSEPORT, a port that is in use is an error, not a second listener.
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 16 << 20)]
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, thread_name_prefix="api"), options=options)
        services: dict[str, dict[str, grpc.RpcMethodHandler]] = {}
        for method in dispatcher.methods:
            services.setdefault(method.service, {})[method.name] = self._unary(method, "v1")
            if method.service.startswith(f"{V1}."):
                beta = f"{V1BETA1}.{method.service.removeprefix(f'{V1}.')}"
                services.setdefault(beta, {})[method.name] = self._unary(method, "v1beta1")
        services[LOGGING]["TailLogEntries"] = self._tail()
        for service, methods in admin.items():
            services[service] = {name: self._admin(handler) for name, handler in methods.items()}
        handlers = [grpc.method_handlers_generic_handler(name, found) for name, found in services.items()]
        # The last one answers all other methods, so that a caller without the token learns nothing about them.
        self._server.add_generic_rpc_handlers((*handlers, _AllMethods(self._unserved)))

    def listen(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listens on an address.

        Args:
            address: For example "unix:/path", or "127.0.0.1:0" for a free port.
            credentials: For TLS.

        Returns:
            The port; 1 for a socket.

        Raises:
            LocalServiceError: The address can't be used.
        """
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise LocalServiceError(
                "the service can't listen", where=address, next_step="Set VERTEX_TRAINING_HOME to another folder"
            ) from error

    def start(self) -> None:
        """Starts to serve."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Refuses new calls, and ends the running ones after `grace` seconds."""
        self._stopping = True
        self._server.stop(grace).wait()

    def _unary(self, method: Method, version: str) -> grpc.RpcMethodHandler:
        parse = self._schema[method.request].FromString

        def handle(data: bytes, context: grpc.ServicerContext) -> object:
            try:
                self._authorize(context)
                caller = Caller(self._region_of(context.peer()), version)
                return self._dispatcher.call(method, _parsed(parse, data), caller)
            except ApiError as error:
                self._abort(context, error)

        serialize = _serialize if version == "v1" else _serialize_beta
        return grpc.unary_unary_rpc_method_handler(handle, response_serializer=serialize)

    def _unserved(self, method: str) -> grpc.RpcMethodHandler:
        """A handler for any method that isn't served, of any kind."""

        def handle(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:  # noqa: ARG001
            try:
                self._authorize(context)
                raise unimplemented(method.lstrip("/"))
            except ApiError as error:
                self._abort(context, error)

        return grpc.stream_stream_rpc_method_handler(handle)

    def _tail(self) -> grpc.RpcMethodHandler:
        def handle(requests: Iterator[object], context: grpc.ServicerContext) -> Iterator[object]:
            try:
                self._authorize(context)
                self._dispatcher.before("TailLogEntries")
                yield from self._logs.tail(requests, lambda: context.is_active() and not self._stopping)
            except ApiError as error:
                self._abort(context, error)

        message = self._schema["google.logging.v2.TailLogEntriesRequest"]
        return grpc.stream_stream_rpc_method_handler(handle, message.FromString, _serialize)

    def _admin(self, handler: AdminMethod) -> grpc.RpcMethodHandler:
        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                self._authorize(context)
                return json.dumps(handler(json.loads(request or b"{}"))).encode()
            except Exception as error:  # noqa: BLE001 - every failure becomes a response
                self._abort(context, self._dispatcher.as_api_error(error))

        return grpc.unary_unary_rpc_method_handler(handle)

    def _authorize(self, context: grpc.ServicerContext) -> None:
        if context.peer().startswith("unix:"):
            return
        sent = dict(context.invocation_metadata()).get("authorization")
        check_token(sent, self._token)

    def _abort(self, context: grpc.ServicerContext, error: ApiError) -> NoReturn:
        status: Any = error.grpc_status(self._schema)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(_CODES[int(error.code)], status.message)


class _AllMethods(grpc.GenericRpcHandler):
    """Handles every method.

    Args:
        handler: Makes the handler of a method.
    """

    def __init__(self, handler: Callable[[str], grpc.RpcMethodHandler]) -> None:
        self._handler = handler

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """The handler of the method that is called."""
        return self._handler(handler_call_details.method)


def _parsed(parse: Callable[[bytes], Generated], data: bytes) -> Generated:
    """A request's message. gRPC itself would answer INTERNAL for bytes that are none, and before the token's check."""
    from google.protobuf.message import DecodeError

    try:
        return parse(data)
    except DecodeError as error:
        raise ApiError(Code.INVALID_ARGUMENT, "The request is no valid message.") from error


def _serialize(message: Generated) -> bytes:
    return message.SerializeToString()


def _serialize_beta(message: Generated) -> bytes:
    """The messages of v1beta1 have the same form, but those packed in an operation are named by their version."""
    if message.DESCRIPTOR.full_name == "google.longrunning.Operation":
        for packed in (message.metadata, message.response):
            packed.type_url = packed.type_url.replace(f"/{V1}.", f"/{V1BETA1}.")
    return message.SerializeToString()
