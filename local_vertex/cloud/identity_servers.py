"""The HTTP servers of `identity`: the metadata server on loopback, Google's identity hosts on a unix socket."""

from __future__ import annotations

import socket
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .identity import Answer, Identity
from .peers import is_own
from .project_apis import ProjectApis

_MAX_BODY = 1 << 20
_IDLE_SECONDS = 60.0


class IdentityServers:
    """Both servers.

    Args:
        identity: What they answer.
        apis: What the other hosts on the socket answer.
        path: The unix socket, in a folder that only its owner can enter.
    """

    def __init__(self, identity: Identity, apis: ProjectApis, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._metadata = _TcpServer(("127.0.0.1", 0), partial(_Metadata, identity))
        self._hosts = _UnixServer(str(path), partial(_Hosts, identity, apis))  # pyright: ignore[reportArgumentType] - a path

    @property
    def metadata(self) -> str:
        """The metadata server's `127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._metadata.server_port}"

    def start(self) -> None:
        """Starts to serve."""
        for server in (self._metadata, self._hosts):
            threading.Thread(target=server.serve_forever, args=(0.05,), name="identity", daemon=True).start()

    def stop(self) -> None:
        """Refuses new calls."""
        for server in (self._metadata, self._hosts):
            server.shutdown()
            server.server_close()
        self._path.unlink(missing_ok=True)


class _TcpServer(ThreadingHTTPServer):
    daemon_threads = True

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401 - the base class has no types
        """Only this user's own processes are served: what they get is the service's token."""
        return is_own(client_address, request.getsockname())

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Says nothing of a client that is gone."""


class _UnixServer(_TcpServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """Binds the socket; the base class would ask for the name of a host."""
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401, ARG002
        """The folder of the socket keeps others out."""
        return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def __init__(self, identity: Identity, *arguments: Any) -> None:  # noqa: ANN401
        self._identity = identity
        super().__init__(*arguments)

    def _answer(self, body: bytes) -> Answer:
        raise NotImplementedError

    def _respond(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > _MAX_BODY:
            self.close_connection = True
            self._send(Answer(413, "text/plain", b"The body is too long\n"))
            return
        self._send(self._answer(self.rfile.read(int(length))))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_PATCH(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def address_string(self) -> str:
        """The client, for the log of the base class."""
        return "local"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Logs nothing for a request."""


class _Metadata(_Handler):
    def _answer(self, body: bytes) -> Answer:  # noqa: ARG002 - no request of it has one
        # As the real one: a page in a browser can't set these headers, and a proxy adds the second.
        named = self.headers.get("Metadata-Flavor") == "Google" or self.path == "/"
        if not named or self.headers.get("X-Forwarded-For"):
            return Answer(403, "text/html", b"Missing Metadata-Flavor:Google header.")
        return self._identity.metadata(self.path)


class _Hosts(_Handler):
    def __init__(self, identity: Identity, apis: ProjectApis, *arguments: Any) -> None:  # noqa: ANN401
        self._apis = apis
        super().__init__(identity, *arguments)

    def _answer(self, body: bytes) -> Answer:
        host = self.headers.get("Host") or ""
        found = self._apis.answer(self.command, host, self.path, body)
        return found or self._identity.host(self.command, host, self.path, body)
