"""A proxy in front of a storage server that counts requests and the bytes of their bodies."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3


class CountingProxy:
    """Forwards to a server while the block runs; `requests` and `sent` are what clients asked and sent."""

    def __init__(self, target: str) -> None:
        self.requests = 0
        self.sent = 0
        host, _, secret = target.removeprefix("http://").partition("/")
        pool = urllib3.HTTPConnectionPool(*host.split(":"), maxsize=16, retries=False)  # type: ignore[misc]
        proxy, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with lock:
                    proxy.requests += 1
                    proxy.sent += len(body)
                found = pool.request(self.command, self.path, body=body or None, headers=dict(self.headers.items()))
                self.send_response(found.status)
                for name, value in found.headers.items():
                    if name.lower() not in {"content-length", "connection"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(found.data)))
                self.end_headers()
                self.wfile.write(found.data)

            def log_message(self, *_: object) -> None:
                """Prints nothing."""

        for method in ("GET", "POST", "PUT", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{secret}"

    def __enter__(self) -> CountingProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
