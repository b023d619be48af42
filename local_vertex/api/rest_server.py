"""The API over REST, optionally on loopback: the same methods as over gRPC, without streams."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .authorization import check_token
from .dispatcher import Dispatcher, Method
from .schema import Schema
from .status import HTTP_STATUS, ApiError, Code

_MAX_BODY = 16 << 20
# https://cloud.google.com/apis/docs/system-parameters
_SYSTEM_PARAMETERS = {"alt", "callback", "fields", "key", "prettyPrint", "quotaUser", "access_token"}


class RestServer:
    """An HTTP server on a free port of 127.0.0.1, with its own threads.

    Args:
        dispatcher: The methods.
        schema: The message classes.
        token: The token that clients must send.
    """

    def __init__(self, dispatcher: Dispatcher, schema: Schema, token: str) -> None:
        routes = [(_pattern(method), method) for method in dispatcher.methods]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, routes, dispatcher, schema, token))
        self._server.daemon_threads = True

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


def _pattern(method: Method) -> re.Pattern[str]:
    """The regular expression for a path template, for example "/v1/{name=projects/*}:cancel"."""

    def variable(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>{match[2].replace('*', '[^/:]+')})"

    return re.compile(re.sub(r"\{(\w+)=([^}]+)\}", variable, method.http[1]))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without this, a response of two packets waits for the client's delayed acknowledgement (40 ms).
    disable_nagle_algorithm = True

    def __init__(  # noqa: PLR0917 - bound by `partial`; the server passes the rest
        self,
        routes: Sequence[tuple[re.Pattern[str], Method]],
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

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def _respond(self) -> None:
        try:
            body = self._body()
            check_token(self.headers.get("Authorization"), self._token)
            url = urlsplit(self.path)
            method, path = self._route(unquote(url.path))
            parameters = dict(parse_qsl(url.query, keep_blank_values=True))
            response = self._dispatcher.call(method, self._request(method, path, parameters, body))
            numbers = "enum-encoding=int" in parameters.get("$alt", "")
            self._send(HTTPStatus.OK, self._schema.to_json(response, enum_numbers=numbers))
        except ApiError as error:
            status: Any = error.status(self._schema)
            body = {
                **self._schema.to_json(status),
                "code": HTTP_STATUS[error.code],
                "status": error.code.name,
            }
            self._send(HTTP_STATUS[error.code], {"error": body})

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > _MAX_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise ApiError(Code.INVALID_ARGUMENT, f"The body needs a Content-Length of at most {_MAX_BODY} bytes")
        return self.rfile.read(int(length))

    def _route(self, path: str) -> tuple[Method, dict[str, str]]:
        for pattern, method in self._routes:
            match = pattern.fullmatch(path)
            if match is not None and method.http[0] == self.command:
                return method, match.groupdict()
        raise ApiError(Code.NOT_FOUND, f"No method is served at {self.command} {path}")

    def _request(self, method: Method, path: dict[str, str], query: dict[str, str], body: bytes) -> object:
        from google.protobuf.json_format import ParseError

        fields: dict[str, Any] = {
            name: value for name, value in query.items() if not name.startswith("$") and name not in _SYSTEM_PARAMETERS
        }
        try:
            if method.body:
                value = json.loads(body or b"{}")
                if not isinstance(value, dict):
                    raise TypeError("The body is not a JSON object.")
                fields.update(value if method.body == "*" else {method.body: value})
            return self._schema.from_json({**fields, **path}, method.request)
        except (ParseError, ValueError, TypeError, RecursionError) as error:
            text = f"Invalid JSON payload received. {error}"
            raise ApiError(Code.INVALID_ARGUMENT, " ".join(text.split())) from error

    def _send(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Logs nothing for a request."""
