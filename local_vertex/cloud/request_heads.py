"""Rewrites the heads of HTTP/1.1 requests on their way to the storage server, whose secret is a prefix of each path."""

from __future__ import annotations

import asyncio

_MAX_CHUNK_LINE = 1 << 12
_CHUNK = 1 << 16


async def pump_requests(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, prefix: str, host: str) -> None:
    """Passes requests on, one after the other, until the client sends no more.

    Args:
        source: The client.
        target: The server.
        prefix: What goes before each path, for example "/secret".
        host: The host that the client named; URLs in answers begin with it.

    Raises:
        ValueError: A request is no valid HTTP/1.1.
        asyncio.IncompleteReadError: The client ended within a request.
    """
    while True:
        try:
            head = await source.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                raise
            return
        first, *lines = head[:-4].split(b"\r\n")
        method, path, version = first.split(b" ")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        own = [b"%s %s%s %s" % (method, prefix.encode(), path, version), b"X-Forwarded-Host: " + host.encode()]
        target.write(b"\r\n".join([*own, *lines]) + b"\r\n\r\n")
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            await _pass_chunks(source, target)
        else:
            await _pass_bytes(source, target, int(fields.get(b"content-length", b"0")))
        await target.drain()


async def _pass_bytes(source: asyncio.StreamReader, target: asyncio.StreamWriter, count: int) -> None:
    while count > 0:
        data = await source.read(min(count, _CHUNK))
        if not data:
            raise asyncio.IncompleteReadError(b"", count)
        target.write(data)
        await target.drain()
        count -= len(data)


async def _pass_chunks(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while True:
        line = await source.readuntil(b"\r\n")
        if len(line) > _MAX_CHUNK_LINE:
            raise ValueError(line[:20])
        target.write(line)
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        await _pass_bytes(source, target, size + 2)
    while (line := await source.readuntil(b"\r\n")) != b"\r\n":  # trailers
        target.write(line)
    target.write(line)
