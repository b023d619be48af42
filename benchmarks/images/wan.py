"""A slow line: a TCP proxy with 40 ms round trip and 100 Mbit/s upwards, which counts what goes up."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

ROUND_TRIP = 0.040
BANDWIDTH = 100e6 / 8
_CHUNK = 64 * 1024


@contextmanager
def slow_line(upstream: str) -> Iterator[Line]:
    """Yields the line to a proxy before `upstream`; all its connections share it."""
    host, _, port = upstream.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    line = Line(f"127.0.0.1:{listener.getsockname()[1]}")

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((host, int(port)))
            for source, target, throttle in ((client, server, line.take), (server, client, None)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _pump(source, target, throttle)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield line
    finally:
        listener.close()


class Line:
    """When the next byte may leave.

    Attributes:
        host: Where the proxy listens, as `127.0.0.1:PORT`.
        sent: Bytes that went up.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.sent = 0
        self._free = 0.0
        self._lock = threading.Lock()

    def take(self, size: int) -> float:
        with self._lock:
            self.sent += size
            self._free = max(self._free, time.monotonic()) + size / BANDWIDTH
            return self._free


def _pump(source: socket.socket, target: socket.socket, throttle: object) -> None:
    """Bytes wait half a round trip, and their turn on the line; reading goes on meanwhile, up to a window."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(maxsize=64)

    def read() -> None:
        while True:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            leaves = throttle(len(data)) if callable(throttle) and data else time.monotonic()
            waiting.put((leaves + ROUND_TRIP / 2, data))
            if not data:
                return

    def write() -> None:
        while True:
            arrives, data = waiting.get()
            time.sleep(max(0.0, arrives - time.monotonic()))
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                source.close()
                return

    threading.Thread(target=read, daemon=True).start()
    threading.Thread(target=write, daemon=True).start()
