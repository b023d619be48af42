"""Bodies of uploads on their way into files, with their checksums."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from email.message import Message
from itertools import cycle
from typing import Any, BinaryIO

from ..http.http_messages import Body, StorageApiError
from ..objects.checksums import Checksums

_BUFFER = 256 << 10
"""Bytes that are read at a time. The first are summed at once, what follows beside reading and writing."""
_BUFFERS = 4
_MAX_METADATA = 1 << 20


def receive(body: Body, file: BinaryIO, sums: Checksums, *, skip: int = 0) -> int:
    """Writes a body to a file as it arrives; returns the bytes written.

    Args:
        body: The body.
        file: Where the bytes go.
        sums: Gets the same bytes.
        skip: Bytes at the body's begin that are there already.

    Raises:
        ConnectionError: The client is gone; what arrived is in the file.
        OSError: The disk is full.
    """
    buffer, written = memoryview(bytearray(_BUFFER)), 0
    while count := body.readinto(buffer):
        piece = buffer[min(skip, count) : count]
        skip = max(0, skip - count)
        _write(file, piece)
        sums.update(piece)
        written += len(piece)
        if count == len(buffer):
            return written + _receive_large(body, file, sums, skip)
    return written


def _receive_large(body: Body, file: BinaryIO, sums: Checksums, skip: int) -> int:
    """The rest of a large body. MD5 takes longer than reading and writing together, so it has a thread of its own."""
    written, waiting = 0, deque[Future[None]]()
    with ThreadPoolExecutor(1, thread_name_prefix="checksums") as summing:
        for buffer in cycle([memoryview(bytearray(_BUFFER)) for _ in range(_BUFFERS)]):
            if len(waiting) == _BUFFERS:
                waiting.popleft().result()
            count = body.readinto(buffer)
            if not count:
                break
            piece = buffer[min(skip, count) : count]
            skip = max(0, skip - count)
            waiting.append(summing.submit(sums.update, piece))
            _write(file, piece)
            written += len(piece)
        for each in waiting:
            each.result()
    return written


def _write(file: BinaryIO, piece: memoryview) -> None:
    """Writes all of a piece: an unbuffered file may take a part of it."""
    done = file.write(piece)
    while done < len(piece):
        done += file.write(piece[done:])


class MultipartUpload:
    """A body of two parts: the metadata as JSON, and the object's bytes, which are a body themselves.

    Its lines end with CR LF, as RFC 2046 says, or with LF, as gcloud's do.

    Args:
        body: The request's body.
        content_type: The request's, with the boundary.

    Raises:
        StorageApiError: The body has another form (400).
    """

    def __init__(self, body: Body, content_type: str) -> None:
        boundary = header_parameter(content_type, "boundary")
        if boundary.startswith("'") and boundary.endswith("'"):
            boundary = boundary[1:-1]  # gcloud writes it so, and Cloud Storage takes it
        if not boundary:
            raise StorageApiError(400, "Failed to parse the multipart body: no boundary", "badRequest")
        self._end = b"\r\n--" + boundary.encode("latin-1")
        self._body = body
        self._held = bytearray(b"\r\n")
        self._ended = False
        self._until(self._end)
        self._line = b"\r\n" if self._until(b"\n").endswith(b"\r") else b"\n"
        self._end = self._end.replace(b"\r\n", self._line)
        self._headers()
        self.metadata = self._until(self._end)
        self._until(self._line)
        self.headers = self._headers()

    def _headers(self) -> Mapping[str, str]:
        while len(self._held) < len(self._line) and self._fill():
            pass
        if self._held.startswith(self._line):
            del self._held[: len(self._line)]
            return {}
        lines = self._until(self._line * 2).decode("latin-1").splitlines()
        return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def _until(self, mark: bytes) -> bytes:
        """The bytes before a mark, which is skipped."""
        at = self._held.find(mark)
        while at < 0:
            if len(self._held) > _MAX_METADATA or not self._fill():
                raise StorageApiError(400, "Failed to parse the multipart body", "badRequest")
            at = self._held.find(mark)
        found = bytes(self._held[:at])
        del self._held[: at + len(mark)]
        return found

    def _fill(self) -> int:
        piece = memoryview(bytearray(_BUFFER))
        count = self._body.readinto(piece)
        self._held += piece[:count]
        return count

    def readinto(self, buffer: memoryview) -> int:
        """The object's bytes, up to the last boundary; see `Body`."""
        while not self._ended:
            at = self._held.find(self._end)
            ready = at if at >= 0 else len(self._held) - len(self._end)
            if ready > 0:
                count = min(ready, len(buffer))
                buffer[:count] = self._held[:count]
                del self._held[:count]
                return count
            if at == 0:
                self._ended = True
                while self._fill():  # what follows the last boundary
                    self._held.clear()
            elif not self._fill():
                raise StorageApiError(400, "Failed to parse the multipart body: it has no end", "badRequest")
        return 0


def header_parameter(header: str, name: str) -> str:
    """A parameter of a Content-Type header; empty if it has none."""
    message = Message()
    message["Content-Type"] = header
    value: Any = message.get_param(name)
    return value if isinstance(value, str) else ""


def wanted_hashes(values: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums that the client sent: "crc32c" and "md5", of the metadata or the headers."""
    found = {"crc32c": values.get("crc32c"), "md5": values.get("md5Hash") or headers.get("content-md5")}
    for item in headers.get("x-goog-hash", "").split(","):
        name, _, value = item.strip().partition("=")
        if name in found and value:
            found[name] = value
    return {name: str(value) for name, value in found.items() if value}


def check_hashes(wanted: Mapping[str, str], sums: Checksums) -> None:
    """Raises `StorageApiError` (400) if the bytes are not those that the client has sent."""
    for name, label, computed in (("crc32c", "CRC32C", sums.crc32c), ("md5", "MD5", sums.md5)):
        if name in wanted and wanted[name] != computed:
            text = f'Provided {label} "{wanted[name]}" doesn\'t match calculated {label} "{computed}".'
            raise StorageApiError(400, text, "invalid")
