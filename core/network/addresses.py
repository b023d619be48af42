"""The addresses that a server's answers may lead to.

A registry names other hosts: in redirects, as its token server, for uploads. A wrong or hostile one must not make this
machine send requests into its own network, or to a cloud's metadata service, which hands out credentials.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Literal

PRIVATE_HOSTS = "VERTEX_TRAINING_PRIVATE_HOSTS"
"""Variable with hosts, joined by commas, that may be reached at private addresses although a public host names them."""

Reach = Literal["public", "private", "refused"]


class RefusedAddress(Exception):
    """A connection that must not be made; not an `OSError`, so that nobody takes it for a failed network."""


class AddressGuard:
    """Decides which addresses may be connected to on behalf of one server.

    Args:
        host: The server's own host, without port; None allows private addresses everywhere.
    """

    def __init__(self, host: str | None) -> None:
        self._host = host and _plain(host)
        self._is_private = host is None

    def check(self, host: str, address: str) -> None:
        """Checks the address of a connection before anything is sent over it.

        Args:
            host: The host that was asked for.
            address: The address that answers.

        Raises:
            RefusedAddress: It is link-local, or private and on behalf of a public server.
        """
        reach = reach_of(address)
        if reach == "refused":
            raise RefusedAddress(f"{host} is the link-local address {address}, which no server needs")
        if reach == "public":
            return
        if _plain(host) == self._host:
            self._is_private = True
        elif not self._is_private and _plain(host) not in _allowed():
            raise RefusedAddress(
                f"{host} is the private address {address}, and a public host led there; "
                f"if that is right, set {PRIVATE_HOSTS}={_plain(host)}"
            )

    def check_name(self, host: str) -> None:
        """Checks a host that is written as an address: a proxy would connect to it, not this machine.

        Raises:
            RefusedAddress: As for `check`.
        """
        plain = _plain(host)
        try:
            ipaddress.ip_address(plain)
        except ValueError:
            if plain in ("metadata.google.internal", "metadata"):
                raise RefusedAddress(f"{plain} is the cloud's metadata service, which no server needs") from None
            return
        self.check(host, plain)


def reach_of(address: str) -> Reach:
    """How far an address reaches; link-local ones are refused."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if found.is_link_local:
        return "refused"
    return "public" if found.is_global else "private"


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _allowed() -> set[str]:
    return {_plain(name) for name in os.environ.get(PRIVATE_HOSTS, "").replace(" ", ",").split(",") if name}
