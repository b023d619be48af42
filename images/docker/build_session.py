"""Gives a build its secrets: the engine asks for them over a session, while the build runs, and keeps none.

`RUN --mount=type=secret` is the only use of a secret that leaves no trace in the image, its history, or a cache. The
engine's session is a connection that it opens to its client by HTTP's upgrade, on which the client serves gRPC:
https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Session, and in BuildKit session/grpc.go and
session/secrets/secrets.proto. grpcio can't serve on a connection that exists, so it serves on a socket in a folder of
this build, and the bytes between both are passed on.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from uuid import uuid4

import grpc

from ...core.errors import DockerError
from .engine_errors import engine_errors

if TYPE_CHECKING:
    from docker import DockerClient

_SECRETS, _GET = "moby.buildkit.secrets.v1.Secrets", "GetSecret"
_HEALTH, _CHECK = "grpc.health.v1.Health", "Check"
_SERVING = b"\x08\x01"
"""The health check's answer; the engine ends a session that doesn't give it."""
_BLOCK = 1 << 16
_SWITCHING_PROTOCOLS = 101


@contextlib.contextmanager
def build_session(engine: DockerClient, secrets: Mapping[str, bytes]) -> Iterator[str]:
    """Answers the engine's questions for secrets; gives the session's id, which the build has to name.

    Args:
        engine: The engine that builds.
        secrets: Values by id; a secret that isn't there is refused, and the step runs without it unless it requires it.

    Raises:
        DockerError: The engine offers no session.
    """
    identity = uuid4().hex
    with tempfile.TemporaryDirectory(prefix="session-") as folder:
        server = grpc.server(
            ThreadPoolExecutor(2, thread_name_prefix="build-secrets"), handlers=_handlers(_answers(secrets))
        )
        server.add_insecure_port(f"unix:{folder}/s")
        server.start()
        try:
            with _Wire(engine, identity) as wire, _passed_on(wire, f"{folder}/s"):
                yield identity
        finally:
            server.stop(None).wait()


Answer = Callable[[bytes, grpc.ServicerContext], bytes]


def _answers(secrets: Mapping[str, bytes]) -> Mapping[tuple[str, str], Answer]:
    def secret(request: bytes, context: grpc.ServicerContext) -> bytes:
        name = _text_field(request)
        if name not in secrets:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no secret {name}")
        value = secrets[name]
        return b"\x0a" + _varint(len(value)) + value  # an empty one is a file, too

    return {(_SECRETS, _GET): secret, (_HEALTH, _CHECK): lambda _request, _context: _SERVING}


def _handlers(answers: Mapping[tuple[str, str], Answer]) -> list[grpc.GenericRpcHandler]:
    """Handlers whose messages are bytes."""
    return [
        grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(answer)})
        for (service, method), answer in answers.items()
    ]


def _text_field(message: bytes) -> str:
    """Field 1 of a protobuf message, where it comes first."""
    if message[:1] != b"\x0a":
        return ""
    size, begin, shift = 0, 1, 0
    while message[begin] & 0x80:
        size |= (message[begin] & 0x7F) << shift
        begin, shift = begin + 1, shift + 7
    size |= message[begin] << shift
    return message[begin + 1 : begin + 1 + size].decode("utf-8", "replace")


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


class _Wire:
    """The session's connection with the engine; a context manager.

    Args:
        engine: The engine.
        identity: The session's id.

    Raises:
        DockerError: The engine offers no session.
    """

    def __init__(self, engine: DockerClient, identity: str) -> None:
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "h2c",
            "X-Docker-Expose-Session-Uuid": identity,
            "X-Docker-Expose-Session-Name": "build",
            "X-Docker-Expose-Session-Sharedkey": "",
            "X-Docker-Expose-Session-Grpc-Method": f"/{_SECRETS}/{_GET}",
        }
        with engine_errors("to give the build its secrets"):
            self._response = engine.api.post(
                f"{engine.api.base_url}/v{engine.api.api_version}/session", headers=headers, stream=True, timeout=None
            )
        if self._response.status_code != _SWITCHING_PROTOCOLS:
            self._response.close()
            raise DockerError(
                f"the engine offers no session for build secrets: {self._response.reason}",
                where="build-secrets",
                next_step="Use Docker 20.10 or later with BuildKit, or BUILDKIT_HOST",
            )
        # What the engine said right after its headers is in the reader's buffer.
        self._reader = cast("BinaryIO", cast("Any", self._response.raw)._fp.fp)  # noqa: SLF001 - as docker-py for attached containers
        self._socket = cast("Any", self._reader).raw._sock  # noqa: SLF001 - likewise

    def __enter__(self) -> _Wire:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._response.close()

    def receive(self) -> bytes:
        """What the engine sends next; nothing at the end."""
        return cast("Any", self._reader).read1(_BLOCK)

    def send(self, data: bytes) -> None:
        """Sends all of it."""
        self._socket.sendall(data)

    def close(self) -> None:
        """Ends what is sent and received."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _passed_on(wire: _Wire, address: str) -> Iterator[None]:
    """Passes bytes on between the engine and the server at `address`."""
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect(address)

        def end() -> None:
            wire.close()
            with contextlib.suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)

        threads = [
            Thread(target=_pass, args=(wire.receive, ours.sendall, end), daemon=True, name="build-session-in"),
            Thread(
                target=_pass, args=(lambda: ours.recv(_BLOCK), wire.send, end), daemon=True, name="build-session-out"
            ),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            end()
            for thread in threads:
                thread.join(10)


def _pass(receive: Callable[[], bytes], send: Callable[[bytes], object], end: Callable[[], None]) -> None:
    with contextlib.suppress(OSError, ValueError):  # closed while it is read
        while data := receive():
            send(data)
    end()
