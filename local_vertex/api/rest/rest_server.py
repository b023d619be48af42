"""The API over REST, optionally on loopback: the same methods as over gRPC, without streams."""

from __future__ import annotations

import json
import socket
import threading
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from ....core.security.parsed_text import parse_json
from ....core.security.same_origin import foreign_page
from ..authorization import check_token
from ..dispatcher import V1, Dispatcher, Method
from ..names import Caller, region_of_host
from ..schema import Generated, Schema
from ..status import HTTP_STATUS, ApiError, Code
from .bodies import read_body
from .method_routes import Routes
from .partial_response import select
from .query_parameters import Parameters, as_json, parse

_JSON = "application/json; charset=UTF-8"
_PROTO = "application/x-protobuf"
_IDLE_SECONDS = 300.0
_MAX_SHOWN = 1000  # characters of an error about a body


class RestServer:
    """An HTTP server on a free port of 127.0.0.1, with its own threads.

    Args:
        dispatcher: The methods.
        schema: The message classes.
        token: The token that clients must send.
    """

    def __init__(self, dispatcher: Dispatcher, schema: Schema, token: str) -> None:
        routes = Routes(dispatcher.methods)
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, routes, dispatcher, schema, token))

    @property
    def url(self) -> str:
        """The base URL, for example "http://127.0.0.1:41234"."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Starts to serve."""
        # The poll interval is the longest time that `stop` waits.
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="rest", daemon=True).start()

    def stop(self) -> None:
        """Refuses new calls."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a client that is gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS  # so that a client that stops in the middle of a request holds no thread for ever
    # Without this, a response of two packets waits for the client's delayed acknowledgement (40 ms).
    disable_nagle_algorithm = True

    def __init__(  # noqa: PLR0917 - bound by `partial`; the server passes the rest
        self,
        routes: Routes,
        dispatcher: Dispatcher,
        schema: Schema,
        token: str,
        request: socket.socket,
        client_address: tuple[str, int],
        server: ThreadingHTTPServer,
    ) -> None:
        # First, because the base class handles all requests of the connection in its constructor.
        self._routes = routes
        self._dispatcher = dispatcher
        self._schema = schema
        self._token = token
        super().__init__(request, client_address, server)

    def _respond(self) -> None:
        try:
            self._send(HTTPStatus.OK, *self._answer())
        except ApiError as error:
            status: Any = error.status(self._schema)
            body = {
                **self._schema.to_json(status),
                "code": HTTP_STATUS[error.code],
                "status": error.code.name,
            }
            self._send(HTTP_STATUS[error.code], json.dumps({"error": body}).encode(), _JSON)

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def do_PATCH(self) -> None:
        self._respond()

    def do_PUT(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def do_OPTIONS(self) -> None:
        self._respond()

    def _answer(self) -> tuple[bytes, str]:
        """The body of the response, and its type."""
        if reason := foreign_page(
            self.headers.get("Host"), self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site")
        ):
            self.close_connection = True
            raise ApiError(Code.PERMISSION_DENIED, f"Only programs of this machine are served: {reason}")
        try:
            url = urlsplit(self.path)
        except ValueError as error:
            self.close_connection = True
            raise ApiError(Code.NOT_FOUND, "The request has no valid path") from error
        parameters, body = parse(url.query), self._body()
        header = f"Bearer {parameters.token}" if parameters.token else self.headers.get("Authorization")
        check_token(header, self._token)
        route = self._routes.find(self._verb(), unquote(url.path))
        request = self._request(route.method, route.fields, parameters, body)
        caller = Caller(region_of_host(self.headers.get("Host") or ""), route.version)
        response = self._dispatcher.call(route.method, request, caller)
        if parameters.is_proto:
            return response.SerializeToString(), _PROTO
        return self._json(response, parameters, route.version), _JSON

    def _body(self) -> bytes:
        try:
            return read_body(self.headers, self.rfile)  # pyright: ignore[reportArgumentType] - a buffered stream
        except (ApiError, OSError) as error:
            self.close_connection = True
            if isinstance(error, ApiError):
                raise
            raise ApiError(Code.INVALID_ARGUMENT, "The body did not arrive in time") from error

    def _verb(self) -> str:
        override = self.headers.get("X-HTTP-Method-Override")
        return override.strip().upper() if override and self.command == "POST" else self.command

    def _request(self, method: Method, path: dict[str, str], parameters: Parameters, body: bytes) -> Generated:
        kind = self._schema[method.request]
        try:
            fields = as_json(parameters, kind.DESCRIPTOR)
            if (self.headers.get("Content-Type") or "").startswith(_PROTO) and method.body:
                return self._from_proto(method, fields | path, body)
            if method.body:
                value = parse_json(body or b"{}")
                if not isinstance(value, dict):
                    raise TypeError("The body is not a JSON object.")
                fields |= _without_old_fields(value, method) if method.body == "*" else {method.body: value}
            return self._schema.from_json({**fields, **path}, method.request)
        except Exception as error:
            text = f"Invalid JSON payload received. {error}"
            raise ApiError(Code.INVALID_ARGUMENT, " ".join(text.split())[:_MAX_SHOWN]) from error

    def _from_proto(self, method: Method, fields: dict[str, Any], body: bytes) -> Generated:
        request = self._schema.from_json(fields, method.request)
        target = request if method.body == "*" else getattr(request, method.body)
        target.MergeFromString(body)
        return request

    def _json(self, response: Generated, parameters: Parameters, version: str) -> bytes:
        value: Any = self._schema.to_json(response, enum_numbers=parameters.enum_numbers)
        if parameters.partial:
            value = select(value, parameters.partial, response.DESCRIPTOR)
        if version != "v1":
            _rename_packed(value, version)
        return json.dumps(value).encode()

    def _send(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answers what is no valid HTTP request with JSON, where the base class would send a page of HTML."""
        self.close_connection = True
        error = {"code": code, "message": message or HTTPStatus(code).phrase, "status": Code.INVALID_ARGUMENT.name}
        self._send(code, json.dumps({"error": error}).encode(), _JSON)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Logs nothing for a request."""


def _without_old_fields(value: dict[str, Any], method: Method) -> dict[str, Any]:
    """The body of ListLogEntries may name projects in a field that its message no longer has."""
    if method.name == "ListLogEntries" and isinstance(projects := value.get("projectIds"), list):
        value = {name: item for name, item in value.items() if name != "projectIds"}
        value["resourceNames"] = [*value.get("resourceNames", []), *(f"projects/{project}" for project in projects)]
    return value


def _rename_packed(value: object, version: str) -> None:
    """The messages that an operation packs are named by the version of the API that was called."""
    if isinstance(value, dict):
        kind = value.get("@type")
        if isinstance(kind, str):
            value["@type"] = kind.replace(f"/{V1}.", f"/{V1.removesuffix('v1')}{version}.")
        for item in value.values():
            _rename_packed(item, version)
    elif isinstance(value, list):
        for item in value:
            _rename_packed(item, version)
