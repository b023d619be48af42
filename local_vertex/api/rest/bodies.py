"""Reads the body of an HTTP request: with a length or in chunks, compressed or not."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import BinaryIO

from ..status import ApiError, Code

MAX_BODY = 16 << 20
"""Bytes, also after a body is inflated."""
_MAX_LINE = 1 << 16


def read_body(headers: Mapping[str, str], stream: BinaryIO) -> bytes:
    """The body of a request.

    Args:
        headers: The request's headers.
        stream: Where the body begins.

    Raises:
        ApiError: INVALID_ARGUMENT; what is left of the request is not read, so the connection must be closed.
    """
    if "chunked" in (headers.get("Transfer-Encoding") or "").lower():
        body = _chunked(stream)
    else:
        length = (headers.get("Content-Length") or "0").strip()
        if not length.isdecimal() or not length.isascii() or len(length) > 12 or int(length) > MAX_BODY:
            raise _bad(f"The body needs a Content-Length of at most {MAX_BODY} bytes")
        body = stream.read(int(length))
        if len(body) < int(length):
            raise _bad("The body ends before its Content-Length")
    return _inflated(body, (headers.get("Content-Encoding") or "identity").strip().lower())


def _chunked(stream: BinaryIO) -> bytes:
    body = bytearray()
    while True:
        line = stream.readline(_MAX_LINE).split(b";")[0].strip()
        try:
            size = int(line, 16)
        except ValueError as error:
            raise _bad("A chunk of the body has no valid size") from error
        if size < 0 or len(body) + size > MAX_BODY:
            raise _bad(f"The body can have at most {MAX_BODY} bytes")
        if size == 0:
            break
        chunk = stream.read(size + 2)
        if len(chunk) < size + 2:
            raise _bad("The body ends within a chunk")
        body += chunk[:-2]
    while stream.readline(_MAX_LINE).strip():  # trailers
        pass
    return bytes(body)


def _inflated(body: bytes, encoding: str) -> bytes:
    if encoding in {"identity", ""}:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise _bad(f"The Content-Encoding {encoding} is not supported: use gzip")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # recognizes gzip and zlib by the header
    try:
        whole = inflate.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise _bad(f"The body is not valid {encoding}") from error
    if len(whole) > MAX_BODY:
        raise _bad(f"The body can have at most {MAX_BODY} bytes")
    if not inflate.eof:
        raise _bad(f"The body is not valid {encoding}: it ends early")
    return whole


def _bad(text: str) -> ApiError:
    return ApiError(Code.INVALID_ARGUMENT, text)
