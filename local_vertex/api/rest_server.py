"""The API over REST and JSON, on loopback, on request: the same methods as over gRPC."""

from __future__ import annotations

import json
import re
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .dispatcher import Dispatcher, Method
from .grpc_server import check_token
from .schema import Schema
from .status import HTTP_STATUS, ApiError, Code

_MAX_BODY = 16 << 20
# https://cloud.google.com/apis/docs/system-parameters
_SYSTEM_PARAMETERS = {"alt", "callback", "fields", "key", "prettyPrint", "quotaUser", "access_token"}


class RestServer:
    """Listens on 127.0.0.1 at a free port, and serves in threads of its own after `start`."""

    def __init__(self, dispatcher: Dispatcher, schema: Schema, token: str) -> None:
        routes = [(_pattern(method), method) for method in dispatcher.methods]

        class Handler(_Handler):
            pass

        Handler.routes, Handler.dispatcher, Handler.schema, Handler.token = routes, dispatcher, schema, token
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """As "http://127.0.0.1:41234"."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Serves from now on."""
        # How long `stop` takes at most, in seconds.
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="rest", daemon=True).start()

    def stop(self) -> None:
        """Takes no new calls."""
        self._server.shutdown()
        self._server.server_close()


def _pattern(method: Method) -> re.Pattern[str]:
    """The regular expression of a path template: "/v1/{name=projects/*}:cancel"."""

    def variable(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>{match[2].replace('*', '[^/:]+')})"

    return re.compile(re.sub(r"\{(\w+)=([^}]+)\}", variable, method.http[1]))


class _Handler(BaseHTTPRequestHandler):
    routes: list[tuple[re.Pattern[str], Method]]
    dispatcher: Dispatcher
    schema: Schema
    token: str
    protocol_version = "HTTP/1.1"
    # Without this, a response of two packets waits for the client's delayed acknowledgement (40 ms).
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        try:
            body = self._body()
            check_token(self.headers.get("Authorization"), self.token)
            url = urlsplit(self.path)
            method, path = self._route(unquote(url.path))
            parameters = dict(parse_qsl(url.query, keep_blank_values=True))
            response = self.dispatcher.call(method, self._request(method, path, parameters, body))
            numbers = "enum-encoding=int" in parameters.get("$alt", "")
            self._send(HTTPStatus.OK, self.schema.to_json(response, enum_numbers=numbers))
        except ApiError as error:
            status: Any = error.status(self.schema)
            answer = {
                **self.schema.to_json(status),
                "code": HTTP_STATUS[error.code],
                "status": error.code.name,
            }
            self._send(HTTP_STATUS[error.code], {"error": answer})

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > _MAX_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise ApiError(Code.INVALID_ARGUMENT, f"The body needs a Content-Length of at most {_MAX_BODY} bytes")
        return self.rfile.read(int(length))

    def _route(self, path: str) -> tuple[Method, dict[str, str]]:
        for pattern, method in self.routes:
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
                    raise TypeError("The body is no JSON object.")
                fields.update(value if method.body == "*" else {method.body: value})
            return self.schema.from_json({**fields, **path}, method.request)
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
        """Says nothing: requests are not news."""
