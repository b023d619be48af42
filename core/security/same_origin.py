"""Tells requests of programs on this machine from those that a browser makes for a page of somebody else's.

Any page in a browser can send requests to 127.0.0.1, and by DNS rebinding even read the answers. A browser always names
the page's origin in requests that change something, and the host that the page was loaded from:
https://developer.mozilla.org/docs/Web/HTTP/Headers/Origin and https://fetch.spec.whatwg.org/#origin-header.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_NAMES = frozenset({"localhost", "host.docker.internal", "metadata.google.internal"})
"""Names of this machine, also as containers see it, and of the metadata server."""
_GOOGLE = ".googleapis.com"
"""Google's hosts, for which local_vertex stands in where a program is told so."""


def foreign_page(host: str | None, origin: str | None, site: str | None = None) -> str:
    """Why a request is one of a foreign page; empty if it isn't.

    Args:
        host: The header Host; None without one.
        origin: The header Origin; None without one, as from programs other than browsers.
        site: The header Sec-Fetch-Site.
    """
    name = _name(f"//{host or ''}")
    if host and not _is_ours(name):
        return f"the host {host[:100]!r} is not this machine"
    if origin is not None and (_name(origin) not in _LOOPBACK or not _same_port(origin, host)):
        return f"a page of {origin[:100]!r} sent it"
    if site in {"cross-site", "same-site"} and origin is None:
        return "a page of another site sent it"
    return ""


@lru_cache(64)
def _is_ours(name: str) -> bool:
    """Whether nobody else can make a name lead here: rebinding needs a name of one's own, so addresses are harmless."""
    try:
        ip_address(name)
    except ValueError:
        return name in _NAMES or f".{name}".endswith(_GOOGLE)
    return True


@lru_cache(64)
def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _same_port(origin: str, host: str | None) -> bool:
    try:
        return urlsplit(origin).port == urlsplit(f"//{host or ''}").port
    except ValueError:
        return False
