"""A slow line: a TCP proxy with 40 ms round trip and 100 Mbit/s upwards, which counts the bytes sent.

A connection costs a round trip before its first byte, as TCP's handshake does; the kernel has made it at once here.
"""

from __future__ import annotations

import multiprocessing
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized

ROUND_TRIP = 0.040
BANDWIDTH = 100e6 / 8
_CHUNK = 64 * 1024


@contextmanager
def slow_line(upstream: str) -> Iterator[Line]:
    """Yields the line to a proxy before `upstream`; all its connections share it.

    The proxy is a process of its own: in this one it would wait for the interpreter whenever a builder computes here.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    line = Line("", spawn.Value("Q", 0))
    proxy = spawn.Process(target=_serve, args=(upstream, line.counter, theirs), daemon=True)
    proxy.start()
    theirs.close()  # so that a proxy which can't start ends the wait below
    try:
        line.host = f"127.0.0.1:{ours.recv()}"
        yield line
    finally:
        proxy.terminate()
        proxy.join()


class Line:
    """A line to a registry.

    Attributes:
        host: What listens, as `127.0.0.1:PORT`.
        counter: Bytes that went up, shared with the proxy; None where nobody counts.
    """

    def __init__(self, host: str, counter: Synchronized[int] | None = None) -> None:
        self.host = host
        self.counter = counter

    @property
    def sent(self) -> int:
        """The bytes sent until now."""
        return self.counter.value if self.counter else 0


class _Throttle:
    """The time at which the next byte may be sent."""

    def __init__(self, counter: Synchronized[int]) -> None:
        self._counter = counter
        self._free = 0.0
        self._lock = threading.Lock()

    def take(self, size: int) -> float:
        with self._lock:
            self._counter.value += size
            self._free = max(self._free, time.monotonic()) + size / BANDWIDTH
            return self._free


def _serve(upstream: str, counter: Synchronized[int], ready: Connection) -> None:
    """The proxy's process: reports its port, then forwards bytes until it is terminated."""
    host, _, port = upstream.rpartition(":")
    throttle = _Throttle(counter)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready.send(listener.getsockname()[1])
        while True:
            client, _ = listener.accept()
            opened = time.monotonic() + ROUND_TRIP
            server = socket.create_connection((host, int(port)))
            for source, target, take in ((client, server, throttle.take), (server, client, None)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _pump(source, target, take, opened)


def _pump(source: socket.socket, target: socket.socket, take: Callable[[int], float] | None, opened: float) -> None:
    """Delays bytes by half a round trip and by the line's speed; reading continues meanwhile, up to a window."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(maxsize=64)

    def read() -> None:
        while True:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            leaves = take(len(data)) if take and data else time.monotonic()
            waiting.put((max(leaves, opened) + ROUND_TRIP / 2, data))
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
