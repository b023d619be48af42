"""Whose process is at the other end of a loopback connection: a port has no permissions, as a socket's file has.

The proxy and the metadata server hand out the service's token to clients that can't send a secret first. So they serve
a connection only if its other end is this user's own.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""Linux' tables of connections, with the user of each socket of this machine.

A client's socket may be one of IPv6, although its address is one of IPv4: gRPC's and Java's are.
"""

# States in which the socket still belongs to its process: ESTABLISHED, and CLOSE_WAIT. In others the user may be 0.
_OWNED = frozenset(("01", "08"))
# How an address of IPv4 begins in the table of IPv6: ::ffff:0:0/96, as four numbers of this machine.
_MAPPED = "0000000000000000" + ("FFFF0000" if sys.byteorder == "little" else "0000FFFF")
_LSOF_SECONDS = 5


def is_own(peer: tuple[str, int], here: tuple[str, int]) -> bool:
    """Whether the other end of an open connection is a process of this user.

    Args:
        peer: IPv4 address and port of the other end.
        here: IPv4 address and port of this end.
    """
    try:
        user = _user_in_tables(peer, here) if TABLES[0].exists() else _user_by_lsof(peer)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return user == os.getuid()


def _user_in_tables(peer: tuple[str, int], here: tuple[str, int]) -> int | None:
    wanted = [_entry(peer), _entry(here)]
    for table in filter(Path.exists, TABLES):
        with table.open() as lines:
            for line in lines:
                parts = line.split()
                if [part.removeprefix(_MAPPED) for part in parts[1:3]] == wanted and parts[3] in _OWNED:
                    return int(parts[7])
    return None


def _entry(address: tuple[str, int]) -> str:
    """An address as the table has it: the bytes of the IP address as a number of this machine, and the port."""
    (number,) = struct.unpack("=I" if sys.byteorder == "little" else "!I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"


def _user_by_lsof(peer: tuple[str, int]) -> int | None:
    """The same where there is no such table, as on macOS, whose lsof lists this user's own sockets."""
    done = subprocess.run(
        ["lsof", "-nP", "-a", f"-u{os.getuid()}", f"-iTCP@{peer[0]}:{peer[1]}", "-sTCP:ESTABLISHED", "-Fun"],
        capture_output=True,
        text=True,
        timeout=_LSOF_SECONDS,
        check=False,
    )
    user = None
    for line in done.stdout.splitlines():
        if line.startswith("u"):
            user = int(line[1:])
        elif line.startswith(f"n{peer[0]}:{peer[1]}->"):
            return user
    return None
