"""Transport: untrusted certificates are refused, and credentials go to their registry only."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fixtures.images.faulty_proxy import Fault, Proxy
from prefect_vertex_training.core.errors import RegistryError
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.oci.verifying_reader import sha256
from prefect_vertex_training.images.registry.auth import Challenge, Credentials
from prefect_vertex_training.images.registry.repository import Repository
from prefect_vertex_training.images.registry.transport import Request, Transport
from prefect_vertex_training.local_vertex import tls_certificate

BLOB = b"somewhere else"


@contextmanager
def storage(context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str | None]]]:
    """Another host that serves `BLOB`; yields its address, and the Authorization header of each request."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.send_header("Content-Length", str(len(BLOB)))
            self.end_headers()
            self.wfile.write(BLOB)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.registry
def test_a_blob_kept_elsewhere_is_fetched_without_credentials(proxy: Proxy) -> None:
    """A registry may redirect to a signed URL of a bucket, which gets no credentials."""
    user = Credentials.fixed("me", "secret")
    with storage() as (host, seen):
        away = (("Location", f"http://{host}/signed"),)
        proxy.choose = lambda *_: Fault(status=307, headers=away)
        with Repository(Reference(proxy.host, "x"), credentials=user).open_blob(sha256(BLOB)) as body:
            assert body.read() == BLOB

    assert seen == [None]


def test_an_untrusted_certificate(tmp_path: Path) -> None:
    """It is an error after one attempt, and nothing is sent."""
    key, pem = tls_certificate.make()
    (tmp_path / "pem").write_bytes(key + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    waits: list[float] = []
    with storage(context) as (host, seen):
        transport = Transport(host, "x", Credentials.fixed("me", "secret"), sleep=waits.append)
        transport.base = f"https://{host}"
        with pytest.raises(
            RegistryError, match=r"certificate of the registry can't be trusted.*SSL_CERT_FILE"
        ) as caught:
            transport.send(Request("GET", "/v2/", {}, {200}))

    assert "\n" not in str(caught.value)
    assert (waits, seen) == ([], [])


@pytest.mark.parametrize(
    ("before", "now", "joined"),
    [
        ("", "repository:a:pull", "repository:a:pull"),
        ("repository:a:pull,push", "repository:a:pull", "repository:a:pull,push"),
        ("repository:a:pull", "repository:a:push,pull repository:b/c:pull",
         "repository:a:pull,push repository:b/c:pull"),
        ("repository:host:5000/a:pull", "repository:host:5000/a:push", "repository:host:5000/a:pull,push"),
    ],
)  # fmt: skip
def test_scopes_join(before: str, now: str, joined: str) -> None:
    """Scopes are joined by resource, whose name may have colons, in any order."""
    first, second = (Challenge("bearer", {"realm": "r", "scope": scope}) for scope in (before, now))

    assert second.joined(first).scope == joined
    assert second.joined(None) == second
    assert second.joined(Challenge("basic", {})) == second
