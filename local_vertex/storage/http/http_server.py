"""A small HTTP/1.1 server with a thread for each connection.

`http.server` takes 0.2 ms to parse the headers of a request, which is more than storing a small object takes, and has
no chunked bodies.
"""

from __future__ import annotations

import contextlib
import hmac
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from io import BufferedReader
from typing import cast
from urllib.parse import parse_qsl

from ....core.security.same_origin import foreign_page
from .http_messages import Answer, Request, StorageApiError, error_answer

_MAX_LINE = 64 << 10
_MAX_HEADERS = 200
_IDLE_SECONDS = 900.0  # for an open connection without a request
_DRAIN = 1 << 20  # bytes of an unread body; of a longer one the connection is closed
_ONE_SEND = 64 << 10

Handle = Callable[[Request], Answer]


class HttpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves the requests whose path begins with the secret, or whose token it is; others are refused with 401.

    Args:
        listener: A socket that listens.
        secret: The first part of every path.
        handle: Answers a request. `StorageApiError` becomes its answer.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, listener: socket.socket, secret: str, handle: Handle) -> None:
        super().__init__(listener.getsockname(), _Connection, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.secret = secret
        self.handle_request_of = handle
        self.last_used = time.monotonic()
        self.connections = 0
        self.counting = threading.Lock()

    def start(self) -> None:
        """Serves in threads of its own."""
        threading.Thread(target=self.serve_forever, args=(0.05,), name="storage", daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's
        """A connection that the client cut is no fault; everything else is printed."""
        import sys
        import traceback

        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class _Body:
    """A body of known length, or a chunked one."""

    def __init__(self, stream: BufferedReader, length: int | None, proceed: Callable[[], None] | None) -> None:
        self._stream = stream
        self._chunked = length is None
        self._left = length or 0
        self._proceed = proceed
        self.ended = length == 0

    def readinto(self, buffer: memoryview) -> int:
        if self._proceed is not None:
            self._proceed()
            self._proceed = None
        if self.ended:
            return 0
        if self._chunked and not self._left and not self._next_chunk():
            return 0
        count = self._stream.readinto(buffer[: min(len(buffer), self._left)])
        if not count:
            raise ConnectionError("the client closed the connection before the body's end")
        self._left -= count
        if not self._left:
            if self._chunked:
                self._stream.readline(_MAX_LINE)
            else:
                self.ended = True
        return count

    def _next_chunk(self) -> bool:
        line = self._stream.readline(_MAX_LINE)
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError as error:
            raise ConnectionError("the body's chunks are not readable") from error
        if not self._left:
            while self._stream.readline(_MAX_LINE).strip():
                pass  # trailers
            self.ended = True
        return not self.ended


class _Connection(socketserver.StreamRequestHandler):
    rbufsize = 64 << 10
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    server: HttpServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def handle(self) -> None:
        with self.server.counting:
            self.server.connections += 1
        try:
            with contextlib.suppress(ConnectionError, TimeoutError):
                while self._one_request():
                    pass
        finally:
            with self.server.counting:
                self.server.connections -= 1
                self.server.last_used = time.monotonic()

    def _one_request(self) -> bool:
        """Answers the next request; returns whether the connection stays open."""
        stream = cast("BufferedReader", self.rfile)
        line = stream.readline(_MAX_LINE)
        if not line.strip():
            return bool(line)  # an empty line between requests is allowed
        self.server.last_used = time.monotonic()
        try:
            method, target, version = line.decode("latin-1").split()
            headers = self._headers(stream)
            length = _length(headers)
        except ValueError:
            self._send(Answer(400, b"Bad Request"), "GET", close=True)
            return False
        proceed = self._proceed if headers.get("expect", "").lower() == "100-continue" else None
        body = _Body(stream, length, proceed)
        keep = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        answer = self._answer(Request(method, target, {}, headers, body, length, ""))
        keep = keep and _drained(body, proceed is not None)
        self._send(answer, method, close=not keep)
        return keep

    def _headers(self, stream: BufferedReader) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(_MAX_HEADERS):
            line = stream.readline(_MAX_LINE)
            if line in {b"\r\n", b"\n"}:
                return headers
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise ValueError(line)
            headers[name.strip().lower()] = value.strip()
        raise ValueError("too many headers")

    def _proceed(self) -> None:
        self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _answer(self, request: Request) -> Answer:
        headers = request.headers
        if reason := foreign_page(headers.get("host"), headers.get("origin"), headers.get("sec-fetch-site")):
            return error_answer(StorageApiError(403, f"Only programs of this machine are served: {reason}"))
        target, _, query = request.path.partition("?")
        if target.startswith("http://"):  # the form for proxies
            target = "/" + target.removeprefix("http://").partition("/")[2]
        path = self._own_path(target.removeprefix("/"), headers)
        if path is None:
            text = "Anonymous caller: begin the path with the secret of this storage, as STORAGE_EMULATOR_HOST does."
            return error_answer(StorageApiError(401, text))
        request.path = path
        request.pairs = parse_qsl(query, keep_blank_values=True)
        request.query = dict(request.pairs)
        request.base = self._base(request.headers)
        try:
            return self.server.handle_request_of(request)
        except StorageApiError as error:
            return error_answer(error, as_text=request.query.get("alt") == "media" and request.method == "GET")

    def _own_path(self, path: str, headers: Mapping[str, str]) -> str | None:
        """The path after the secret; None without it.

        gcloud sends uploads to the host alone, and leaves the secret out: its token, which it got here, is the secret.
        """
        secret, _, rest = path.partition("/")
        if hmac.compare_digest(secret.encode(), self.server.secret.encode()):
            return rest
        token = headers.get("authorization", "").partition(" ")[2].strip()
        return path if hmac.compare_digest(token.encode(), self.server.secret.encode()) else None

    def _base(self, headers: Mapping[str, str]) -> str:
        """What URLs in answers begin with. A proxy in front that stands for Google's host names that host."""
        if "x-forwarded-host" in headers:
            scheme = headers.get("x-forwarded-proto", "https")
            return f"{scheme}://{headers['x-forwarded-host']}{headers.get('x-forwarded-prefix', '')}"
        host = headers.get("host") or "{}:{}".format(*self.request.getsockname()[:2])
        return f"http://{host}/{self.server.secret}"

    def _send(self, answer: Answer, method: str, *, close: bool) -> None:
        length = len(answer.body) if answer.length is None else answer.length
        bodiless = answer.status in {204, 304} or method == "HEAD"
        lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines.append("Server: UploadServer")
        if answer.status != 204:
            lines.append(f"Content-Length: {length}")
        if close:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        try:
            if bodiless:
                self.request.sendall(head)
            elif answer.file is None:
                self.request.sendall(head + answer.body)
            else:
                self._send_file(head, answer, length)
        finally:
            if answer.file is not None:
                answer.file.close()

    def _send_file(self, head: bytes, answer: Answer, length: int) -> None:
        assert answer.file is not None
        if length <= _ONE_SEND:
            answer.file.seek(answer.offset)
            body = answer.file.read(length)
            self.request.sendall(head + body)
            sent = len(body)
        else:
            self.request.sendall(head)
            sent = self.request.sendfile(answer.file, answer.offset, length)
        if sent != length:  # somebody made the file shorter: the client must not take this for the whole
            raise ConnectionError("the file became shorter while it was sent")


def _length(headers: Mapping[str, str]) -> int | None:
    """The body's length; None for a chunked body.

    Raises:
        ValueError: It is no number.
    """
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return None
    text = headers.get("content-length", "0")
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _drained(body: _Body, waits: bool) -> bool:
    """Reads what is left of a body; False if that is too much, or the client waits to be asked for it."""
    if body.ended:
        return True
    if waits:
        return False
    buffer, size = memoryview(bytearray(64 << 10)), 0
    while count := body.readinto(buffer):
        size += count
        if size > _DRAIN:
            return False
    return True


def _phrase(status: int) -> str:
    if status == 308:
        return "Resume Incomplete"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
