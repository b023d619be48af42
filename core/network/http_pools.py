"""Kept connections for HTTP requests: through the right proxy, with this machine's authorities, and guarded."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .addresses import AddressGuard
from .proxies import proxy_for
from .tls import client_context


class Pools:
    """Connection pools, one manager for each proxy; safe to share between threads.

    Args:
        guard: Decides which addresses may be connected to.
        connections: Connections to one host that are kept.
        block: Bytes that are sent at a time.
        trust: The TLS settings.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        connections: int = 16,
        block: int = 16384,
        trust: Callable[[], ssl.SSLContext] = client_context,
    ) -> None:
        self._guard = guard
        self._connections = connections
        self._block = block
        self._trust = trust
        self._managers: dict[tuple[str, bool], urllib3.PoolManager] = {}
        self._of_origins: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def request(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401 - urllib3's
        """Sends a request; options and errors are urllib3's.

        Raises:
            RefusedAddress: The URL, or a redirect, leads to an address that the guard refuses.
        """
        self._guard.check_name(urlsplit(url).hostname or "")
        return self._manager(url).request(method, url, **options)

    def _manager(self, url: str) -> urllib3.PoolManager:
        origin = urlsplit(url)[:2]
        with self._lock:
            if origin not in self._of_origins:  # reading the environment for each request would take a fifth of it
                key = proxy_for(url) or "", origin[0] == "https"
                if key not in self._managers:
                    self._managers[key] = self._create(*key)
                self._of_origins[origin] = self._managers[key]
            return self._of_origins[origin]

    def _create(self, proxy: str, secure: bool) -> urllib3.PoolManager:
        options: dict[str, Any] = {"maxsize": self._connections, "block": False, "blocksize": self._block}
        # Loading the certificate authorities takes 25 ms, so only where they are needed.
        options["ssl_context"] = self._trust() if secure or proxy else None
        if not proxy:
            manager = urllib3.PoolManager(**options)
            manager.pool_classes_by_scheme = _guarded(self._guard)
        elif proxy.startswith("socks"):
            manager = _socks(proxy, options)
        else:
            manager = urllib3.ProxyManager(
                proxy, proxy_headers=_proxy_login(proxy), proxy_ssl_context=options["ssl_context"], **options
            )
        _check_redirects(manager, self._guard)
        return manager


def _socks(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    from urllib3.contrib.socks import SOCKSProxyManager

    # As curl and pip: plain "socks5" would look the host up here, where a firewall's clients often can't.
    return SOCKSProxyManager(proxy.replace("socks://", "socks5h://").replace("socks5://", "socks5h://"), **options)


def _proxy_login(proxy: str) -> dict[str, str] | None:
    parts = urlsplit(proxy)
    if not parts.username:
        return None
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return urllib3.make_headers(proxy_basic_auth=login)


def _check_redirects(manager: urllib3.PoolManager, guard: AddressGuard) -> None:
    """Lets the guard see each address that a redirect leads to."""
    original = manager.urlopen

    def urlopen(method: str, url: str, redirect: bool = True, **options: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401 - urllib3's
        guard.check_name(urlsplit(url).hostname or "")
        return original(method, url, redirect, **options)

    manager.urlopen = urlopen


def _guarded(guard: AddressGuard) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools, with connections whose address is checked before anything is sent."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> Any:  # noqa: ANN401 - a socket
            return _checked(guard, self.host, super()._new_conn())

    class Secure(HTTPSConnection):
        def _new_conn(self) -> Any:  # noqa: ANN401 - a socket
            return _checked(guard, self.host, super()._new_conn())

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain  # pyright: ignore[reportAssignmentType] - urllib3's own class isn't its protocol

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure  # pyright: ignore[reportAssignmentType] - likewise

    return {"http": PlainPool, "https": SecurePool}


def _checked(guard: AddressGuard, host: str, connection: Any) -> Any:  # noqa: ANN401 - a socket
    try:
        guard.check(host, connection.getpeername()[0])
    except BaseException:
        connection.close()
        raise
    return connection
