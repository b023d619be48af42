"""What requests to a package index need: this machine's proxy, and the credentials of a URL or of .netrc."""

from __future__ import annotations

import netrc
import os
import urllib.request
from urllib.parse import unquote, urlsplit, urlunsplit

import urllib3

from ..tls import client_context

TIMEOUT = urllib3.Timeout(connect=15, read=60)


def proxy_of(url: str) -> str | None:
    """The proxy for a URL, by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; None for a direct connection."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def connections(proxy: str | None, most: int = 1) -> urllib3.PoolManager:
    """Connections that trust this machine's certificate authorities.

    Args:
        proxy: From `proxy_of`.
        most: Connections to one host that are kept.
    """
    trust = client_context()
    if proxy:
        return urllib3.ProxyManager(proxy, maxsize=most, ssl_context=trust, proxy_ssl_context=trust)
    return urllib3.PoolManager(maxsize=most, ssl_context=trust)


def with_credentials(url: str) -> tuple[str, dict[str, str]]:
    """The URL without user and password, and headers with those credentials or the ones in .netrc."""
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user:
        user, password = _netrc_login(parts.hostname or "")
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return address, urllib3.make_headers(basic_auth=f"{user}:{password}") if user else {}


def _netrc_login(host: str) -> tuple[str, str]:
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return "", ""
    return (found[0] or "", found[2] or "") if found else ("", "")
