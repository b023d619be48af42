"""Which of Google's hosts are served on this machine, and by what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.errors import LocalServiceError
from ...core.regional.regions import REGIONS

API, IDENTITY, STORAGE = "api", "identity", "storage"
"""What serves a host: Vertex AI's and Cloud Logging's API; tokens and what a project has; objects in buckets."""

_HOSTS = {
    r"[a-z0-9-]+-aiplatform\.googleapis\.com": API,
    r"aiplatform(\.[a-z0-9-]+\.rep)?\.googleapis\.com": API,
    r"logging\.googleapis\.com": API,
    r"(oauth2|iamcredentials|sts|cloudresourcemanager)\.googleapis\.com": IDENTITY,
    r"(serviceusage|iam|artifactregistry|cloudquotas|cloudbilling)\.googleapis\.com": IDENTITY,
    r"(compute|cloudkms|orgpolicy)\.googleapis\.com": IDENTITY,
    r"([a-z0-9._-]+\.)?storage\.googleapis\.com": STORAGE,
}
CERTIFIED = (
    *("*.googleapis.com", "*.storage.googleapis.com"),
    *(f"aiplatform.{region}.rep.googleapis.com" for region in REGIONS),
)
"""The names in the certificate: a star stands for one part of a name."""


class Address(NamedTuple):
    """Where a program of this machine listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts that the proxy serves itself.

    Attributes:
        own: Further hosts, each with the address of a program of this machine that serves it over plain HTTP.
    """

    own: Mapping[str, Address] = field(default_factory=dict)

    def find(self, host: str) -> str | Address | None:
        """What serves a host; None for a host of somebody else's."""
        name = host.lower().rstrip(".")
        if name in self.own:
            return self.own[name]
        return next((kind for pattern, kind in _HOSTS.items() if re.fullmatch(pattern, name)), None)

    @property
    def names(self) -> list[str]:
        """The names for the certificate."""
        return [*CERTIFIED, *sorted(self.own)]


def parse(settings: Mapping[str, str]) -> Hosts:
    """Further hosts from settings.

    Args:
        settings: `127.0.0.1:PORT` by name of the host.

    Raises:
        LocalServiceError: A name or an address is invalid.
    """
    own = {}
    for name, address in settings.items():
        host, colon, port = address.removeprefix("http://").rstrip("/").rpartition(":")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name) or not colon or not port.isdecimal():
            raise LocalServiceError(
                f"{name}={address} is not a host and the address that serves it",
                where="--host",
                next_step="Write HOST=127.0.0.1:PORT, like artifactregistry.googleapis.com=127.0.0.1:5000",
            )
        own[name] = Address(host, int(port))
    return Hosts(own)
