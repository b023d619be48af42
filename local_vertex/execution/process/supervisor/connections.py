"""The supervisor's connections to the service."""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

from .protocol import Message


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)


class Connections:
    """All connections; reads requests and sends events without blocking.

    Args:
        listener: A listening socket.
        selector: Gets the listener and all connections.
    """

    def __init__(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        self._listener = listener
        self._selector = selector
        self._clients: dict[int, _Client] = {}
        selector.register(listener, selectors.EVENT_READ)

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._clients)

    @property
    def unsent_bytes(self) -> int:
        """How many bytes wait for clients that don't read."""
        return sum(len(client.unsent) for client in self._clients.values())

    def handle(self, key: selectors.SelectorKey, mask: int) -> Iterator[Message]:
        """Accepts a connection, or exchanges data with a client; yields the requests that arrived."""
        if key.fileobj is self._listener:
            self._accept()
        elif client := self._clients.get(key.fd):  # the connection may have been closed since the selector's call
            yield from self._exchange(client, mask)

    def broadcast(self, event: Message) -> None:
        """Sends an event to every client; what a client doesn't read yet is kept for it."""
        line = json.dumps(event).encode() + b"\n"
        for client in list(self._clients.values()):
            client.unsent += line
            self._flush(client)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # the client is gone already
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _exchange(self, client: _Client, mask: int) -> Iterator[Message]:
        try:
            if mask & selectors.EVENT_WRITE:
                self._flush(client)
            if mask & selectors.EVENT_READ:
                data = client.connection.recv(1 << 20)
                if not data:
                    raise ConnectionResetError
                client.received += data
        except BlockingIOError:
            return
        except OSError:
            self._close(client)
            return
        *lines, rest = client.received.split(b"\n")
        client.received = bytearray(rest)
        for line in lines:
            yield json.loads(line)

    def _flush(self, client: _Client) -> None:
        try:
            while client.unsent:
                del client.unsent[: client.connection.send(client.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._close(client)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        self._selector.modify(client.connection, wanted)

    def _close(self, client: _Client) -> None:
        # Reading and writing can both find that a client is gone; a closed socket can't be unregistered again.
        if self._clients.pop(client.connection.fileno(), None) is not None:
            self._selector.unregister(client.connection)
            client.connection.close()
