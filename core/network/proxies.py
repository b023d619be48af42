"""The proxy for a URL, by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, as docker, pip and uv read them."""

from __future__ import annotations

import ipaddress
import urllib.request
from urllib.parse import urlsplit

from ..errors import TrainingError

_SCHEMES = frozenset(("http", "https", "socks", "socks4", "socks4a", "socks5", "socks5h"))
_DEFAULT_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str) -> str | None:
    """The proxy's URL; None for a direct connection. Loopback addresses never have a proxy.

    Raises:
        TrainingError: The variable holds no URL of a proxy.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or _is_loopback(host):
        return None
    if _is_bypassed(host, parts.port or _DEFAULT_PORTS.get(parts.scheme, 0), proxies.get("no", "")):
        return None
    found = found.strip()
    return _checked(found if "://" in found else f"http://{found}", parts.scheme)


def _checked(proxy: str, scheme: str) -> str:
    """The URL of a proxy. The error doesn't show it, because it may hold a password."""
    try:
        parts = urlsplit(proxy)
        is_sound = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        is_sound = is_sound and not set(parts.netloc) & set(" \t") and not (parts.query or parts.fragment)
    except ValueError:
        is_sound = False
    if not is_sound:
        raise TrainingError(
            "a proxy's variable holds no URL of a proxy",
            where=f"{scheme.upper()}_PROXY or ALL_PROXY",
            next_step="Set it to http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with %23 for # and the like",
        )
    return proxy


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _is_bypassed(host: str, port: int, names: str) -> bool:
    """Whether NO_PROXY names a host: itself, a domain above it, its address, a range of addresses, or `*`."""
    return any(_names(item.strip().lower(), host, port) for item in names.replace(" ", ",").split(",") if item.strip())


def _names(item: str, host: str, port: int) -> bool:
    if item == "*":
        return True
    name, colon, given = item.rpartition(":")
    if colon and given.isdigit() and "]" not in given and (":" not in name or name.endswith("]")):
        if int(given) != port:
            return False
        item = name
    item = item.strip("[]")
    address = _address(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(item, strict=False)
        except (ValueError, TypeError):
            return False
    domain = item.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
