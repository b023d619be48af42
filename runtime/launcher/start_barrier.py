"""Holds all nodes of a job until the last one is there: machines start, pull the image and copy data at their own pace.

The primary node listens on its own port of the cluster, which the launcher uses afterwards. A node says who it is, and
waits for the answer. It is the node that closes the connection, so that the primary's port is free at once.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import time
from typing import Dict, List, Optional, Tuple

from .node import Node

_MARK = "vertex-training-barrier"
_GO = b"go\n"
_LONGEST = 256
_CLOSING_SECONDS = 5.0


class RanksDidNotMeet(Exception):
    """Not all nodes arrived; the message says which."""


def split_address(address: str) -> Tuple[str, int]:
    """The host and the port of HOST:PORT.

    Raises:
        ValueError: It has another form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("%s is not HOST:PORT" % address)
    return host.strip("[]"), int(port)


def meet(node: Node, job: str, seconds: float) -> None:
    """Returns when all nodes of the job have called this.

    Args:
        node: This node; a job of one machine doesn't wait.
        job: What all nodes of one attempt have in common.
        seconds: How long to wait.

    Raises:
        RanksDidNotMeet: The time is over, or a node belongs to another job.
        ValueError: The primary's address can't be read.
    """
    if not node.addresses:
        return
    host, port = split_address(node.addresses[0])
    deadline = time.time() + seconds
    if node.rank == 0:
        with _listen(host, port, deadline) as listener:
            _gather(listener, node, job, deadline, seconds)
    else:
        _arrive(node, job, (host, port), deadline, seconds)


def _listen(host: str, port: int, deadline: float) -> socket.socket:
    """Binds the port; the process of an earlier start may still be giving it back."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # A machine may know its own name by another address than the others do.
    own = host if host.startswith("127.") or host in ("localhost", "::1") else ""
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((own, port))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            if time.time() > deadline:
                text = "the primary node can't listen on port %d: %s" % (port, error.strerror or error)
                raise RanksDidNotMeet(text) from None
            time.sleep(0.5)


def _gather(listener: socket.socket, node: Node, job: str, deadline: float, seconds: float) -> None:
    arrived = {}  # type: Dict[int, socket.socket]
    silent = []  # type: List[socket.socket]
    try:
        while len(arrived) < len(node.addresses) - 1:
            left = deadline - time.time()
            if left <= 0:
                raise RanksDidNotMeet(_missing(node, sorted(arrived), seconds))
            ready, _, _ = select.select([listener, *silent, *arrived.values()], [], [], min(left, 1.0))
            for each in ready:
                if each is listener:
                    silent.append(listener.accept()[0])
                elif each in silent:
                    silent.remove(each)
                    _greet(each, node, job, arrived)
                else:
                    _forget(each, arrived)
        for each in arrived.values():
            with contextlib.suppress(OSError):
                each.sendall(_GO)
        _wait_for_ends(list(arrived.values()))
    finally:
        for each in [*silent, *arrived.values()]:
            each.close()


def _greet(connection: socket.socket, node: Node, job: str, arrived: Dict[int, socket.socket]) -> None:
    rank = _read_greeting(connection, node, job)
    if rank is None:
        connection.close()
        return
    if rank in arrived:  # it was started again
        arrived[rank].close()
    arrived[rank] = connection


def _read_greeting(connection: socket.socket, node: Node, job: str) -> Optional[int]:
    connection.settimeout(_CLOSING_SECONDS)
    try:
        words = connection.recv(_LONGEST).decode("ascii", "replace").split()
    except OSError:
        return None
    if len(words) != 4 or words[0] != _MARK:
        return None
    if words[1] != job or words[3] != str(len(node.addresses)):
        with contextlib.suppress(OSError):
            connection.sendall(b"no\n")
        return None
    rank = int(words[2]) if words[2].isdigit() else 0
    return rank if 0 < rank < len(node.addresses) else None


def _forget(connection: socket.socket, arrived: Dict[int, socket.socket]) -> None:
    """A node that said all and is readable again has gone."""
    connection.close()
    for rank in [rank for rank, each in arrived.items() if each is connection]:
        del arrived[rank]


def _wait_for_ends(connections: List[socket.socket]) -> None:
    end = time.time() + _CLOSING_SECONDS
    while connections and time.time() < end:
        ready, _, _ = select.select(connections, [], [], 0.2)
        connections = [each for each in connections if each not in ready]


def _missing(node: Node, arrived: List[int], seconds: float) -> str:
    missing = [rank for rank in range(1, len(node.addresses)) if rank not in arrived]
    named = ", ".join("%d (%s)" % (rank, node.addresses[rank]) for rank in missing[:5])
    more = " and %d more" % (len(missing) - 5) if len(missing) > 5 else ""
    text = "%d of %d nodes didn't arrive within %.0f s: node %s%s"
    return text % (len(missing), len(node.addresses), seconds, named, more)


def _arrive(node: Node, job: str, primary: Tuple[str, int], deadline: float, seconds: float) -> None:
    greeting = ("%s %s %d %d\n" % (_MARK, job, node.rank, len(node.addresses))).encode("ascii", "replace")
    wait, reason = 0.2, "no answer"
    while time.time() < deadline:
        try:
            with socket.create_connection(primary, timeout=min(10.0, max(0.1, deadline - time.time()))) as connection:
                connection.sendall(greeting)
                connection.settimeout(max(0.1, deadline - time.time()))
                answer = connection.recv(_LONGEST)
        except OSError as error:
            reason = str(error.strerror or error)
        else:
            if answer == _GO:
                return
            reason = "it waits for other nodes or another job" if answer else "it closed the connection"
        time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
        wait = min(wait * 2, 5.0)
    text = "node %d of %d didn't meet the primary node at %s:%d within %.0f s: %s"
    raise RanksDidNotMeet(text % (node.rank, len(node.addresses), primary[0], primary[1], seconds, reason))
