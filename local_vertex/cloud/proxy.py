"""An HTTP proxy for clients that speak to Google's hosts: it ends their TLS here, and passes the calls to the service.

A client needs the proxy's address (https_proxy) and its authority, and nothing in its code changes. gRPC goes to the
service's gRPC port, all else to its REST port; both check the token as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...core.errors import LocalServiceError
from ..api.names import region_of_host
from .certificates import Certificates
from .hosts import API, IDENTITY, STORAGE, Address, Hosts
from .peers import is_own
from .request_heads import pump_requests

_MAX_HEAD = 1 << 16
_HEAD_SECONDS = 30.0
_CONNECT_SECONDS = 30.0
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the proxy passes calls to.

    Attributes:
        grpc: The service's gRPC port.
        rest: Its REST port.
        identity: The unix socket of `identity_servers`.
        storage: Starts the storage server if necessary, and returns its address and the prefix of its paths; blocks.
    """

    grpc: Address
    rest: Address
    identity: str
    storage: Callable[[], tuple[Address, str]]


class Proxy:
    """The proxy; to be used in one event loop.

    Args:
        hosts: The hosts that are served here.
        targets: What serves them.
        certificates: For their names.
        passes: Whether connections to other hosts are passed on, else they are refused.
        upstream: The proxy of this machine for other hosts, as a URL; empty for none.
    """

    def __init__(
        self, hosts: Hosts, targets: Targets, certificates: Certificates, *, passes: bool, upstream: str = ""
    ) -> None:
        self._hosts = hosts
        self._targets = targets
        self._passes = passes
        self._upstream = upstream
        self._regions: dict[int, str] = {}
        self._with_grpc = _context(certificates, ["http/1.1", "h2"])
        self._http_only = _context(certificates, ["http/1.1"])
        self._server: asyncio.Server | None = None

    def region_of(self, peer: str) -> str:
        """The region of the endpoint that a caller of the gRPC port used; empty if it didn't come through here.

        Args:
            peer: gRPC's name of the caller, for example "ipv4:127.0.0.1:41234".
        """
        port = peer.rpartition(":")[2]
        return self._regions.get(int(port), "") if port.isdecimal() else ""

    async def listen(self) -> int:
        """Listens on a free port of 127.0.0.1; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_HEAD)
        return self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer, here = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
            if not await asyncio.to_thread(is_own, peer, here):
                await _refuse(writer, 403, "only the user who started this proxy may use it")
                return
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            await self._connect(reader, writer, head)
        except LocalServiceError as error:
            print(error, file=sys.stderr)  # the service's log: inside the TLS connection there is nobody to tell
        except (OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is gone, or speaks no HTTP
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        method, _, rest = head.decode("latin-1").partition(" ")
        host, _, port = rest.partition(" ")[0].rpartition(":")
        if method != "CONNECT" or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            await _refuse(writer, 405, "this proxy serves CONNECT, for https, only")
            return
        found = self._hosts.find(host.strip("[]"))
        if found is not None:
            await self._end_tls(reader, writer, host, found)
        elif self._passes:
            await self._pass_on(reader, writer, host.strip("[]"), int(port))
        else:
            await _refuse(
                writer,
                403,
                f"{host} is not served on this machine; `vertex-training local start --as-cloud --other-hosts pass`"
                " lets connections to other hosts through",
            )

    async def _end_tls(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, found: str | Address
    ) -> None:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._with_grpc if found in (API, IDENTITY) else self._http_only)
        if found == STORAGE:
            await self._to_storage(reader, writer, host)
        elif writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            await self._to_grpc(reader, writer, host)
        elif found == IDENTITY:
            await _join(reader, writer, *await asyncio.open_unix_connection(self._targets.identity))
        else:
            target = found if isinstance(found, Address) else self._targets.rest
            await _join(reader, writer, *await asyncio.open_connection(target.host, target.port))

    async def _to_grpc(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        from_target, to_target = await asyncio.open_connection(*self._targets.grpc)
        # The service asks by this port which endpoint was called: gRPC doesn't tell it.
        port = to_target.get_extra_info("sockname")[1]
        self._regions[port] = region_of_host(host)
        try:
            await _join(reader, writer, from_target, to_target)
        finally:
            self._regions.pop(port, None)

    async def _to_storage(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        address, prefix = await asyncio.to_thread(self._targets.storage)
        from_target, to_target = await asyncio.open_connection(*address)

        async def requests() -> None:
            with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await pump_requests(reader, to_target, prefix=prefix, host=host)
            with contextlib.suppress(OSError):
                to_target.write_eof()

        await asyncio.gather(requests(), _pump(from_target, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                from_target, to_target = await self._open(host, port)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            await _refuse(writer, 502, f"{host} can't be reached: {error}")
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await _join(reader, writer, from_target, to_target)

    async def _open(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self._upstream:
            return await asyncio.open_connection(host, port)
        url = urlsplit(self._upstream)
        reader, writer = await asyncio.open_connection(url.hostname, url.port or 80, limit=_MAX_HEAD)
        name = f"[{host}]" if ":" in host else host
        writer.write(f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode("latin-1"))
        answer = await reader.readuntil(b"\r\n\r\n")
        if answer.split(b" ")[1:2] != [b"200"]:
            writer.close()
            raise OSError(f"the proxy {url.hostname} refuses it: {answer.splitlines()[0].decode('latin-1')}")
        return reader, writer


def _context(certificates: Certificates, protocols: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificates.chain, certificates.key)
    # The first one that a client offers, too: HTTP clients offer http/1.1, gRPC's only h2.
    context.set_alpn_protocols(protocols)
    return context


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    from_target: asyncio.StreamReader,
    to_target: asyncio.StreamWriter,
) -> None:
    await asyncio.gather(_pump(reader, to_target), _pump(from_target, writer))


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
            return
    except (OSError, ssl.SSLError):
        pass
    with contextlib.suppress(OSError, RuntimeError):
        target.close()


async def _refuse(writer: asyncio.StreamWriter, status: int, text: str) -> None:
    body = f"local_vertex: {text}\n".encode()
    reason = {403: "Forbidden", 405: "Method Not Allowed", 502: "Bad Gateway"}[status]
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
    await writer.drain()
