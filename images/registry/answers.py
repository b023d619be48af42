"""A registry's answers: small ones read whole within limits of size and time, blobs while they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import urllib3
from urllib3.exceptions import HTTPError

from ...core.errors import RegistryError, RegistryUnavailable
from .errors import root_cause

ANSWER_LIMIT = 8 * 1024 * 1024
"""Bytes of an answer that is read whole: a manifest has 4 MB at most."""

ANSWER_SECONDS = 180.0
"""Time limit of an answer that is read whole; each of its reads has a shorter one."""

_SLOWEST = 20_000.0
"""Bytes a second below which a blob isn't worth waiting for."""

_BLOCK = 64 * 1024
_HTTP_1_0 = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        status: The HTTP status.
        headers: The headers, by names in any case.
        data: The whole body; empty for an answer that is streamed.
        stream: The body while it arrives; None for an answer that was read whole.
    """

    status: int
    headers: urllib3.HTTPHeaderDict
    data: bytes = b""
    stream: urllib3.BaseHTTPResponse | None = None

    def challenges(self) -> list[str]:
        """The `WWW-Authenticate` headers, of which there may be several."""
        return list(self.headers.getlist("WWW-Authenticate"))


def read_answer(answer: urllib3.BaseHTTPResponse, host: str, clock: Callable[[], float] = time.monotonic) -> Answer:
    """Reads an answer whole.

    Raises:
        RegistryUnavailable: The connection was cut, or the answer takes too long.
        RegistryError: It has more bytes than any manifest.
        HTTPError, OSError: As urllib3 raises them.
    """
    end = clock() + ANSWER_SECONDS
    data = bytearray()
    try:
        while piece := answer.read1(_BLOCK, decode_content=True):  # pyright: ignore[reportAttributeAccessIssue]
            data += piece
            if len(data) > ANSWER_LIMIT:
                raise RegistryError(
                    f"the registry's answer has more than {ANSWER_LIMIT:,} bytes",
                    where=host,
                    next_step="Check the registry's host name",
                )
            if clock() > end:
                raise RegistryUnavailable(
                    f"the registry's answer wasn't complete after {ANSWER_SECONDS:.0f} s",
                    where=host,
                    next_step="Run again in a while",
                )
    except BaseException:
        answer.close()
        raise
    answer.release_conn()
    return Answer(answer.status, answer.headers, bytes(data))


def is_cut(answer: urllib3.BaseHTTPResponse, method: str) -> bool:
    """Whether the connection ended within the headers, which http.client doesn't notice.

    Nearly every answer has a length. Without one a HEAD's answer is as good, because its status is complete, and so is
    one that says that the connection ends with it.
    """
    headers = {name.title() for name in answer.headers}
    if answer.status in (204, 304) or method == "HEAD" or {"Content-Length", "Transfer-Encoding"} & headers:
        return False
    return answer.version != _HTTP_1_0 and "close" not in answer.headers.get("Connection", "").lower()


class AnswerBody:
    """A blob, read while it arrives; a lost or very slow connection raises an error of `core.errors`.

    Args:
        answer: The answer with the blob.
        host: The registry's host, for messages.
        clock: Seconds from any point on.
    """

    def __init__(self, answer: Answer, host: str, clock: Callable[[], float] = time.monotonic) -> None:
        assert answer.stream is not None
        self._answer = answer.stream
        self._host = host
        self._clock = clock
        self._start = clock()
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        """Reads up to `size` bytes; empty at the end.

        Raises:
            RegistryUnavailable: The connection was cut, timed out, or gives bytes too slowly.
        """
        try:
            # Not decoded: a blob's digest is that of its bytes, and some stores announce a gzip layer as an encoding.
            data = self._answer.read(None if size < 0 else size, decode_content=False)
        except (HTTPError, OSError) as error:
            raise self._lost(f"was cut off: {root_cause(error)}") from error
        self._read += len(data)
        if self._clock() - self._start > ANSWER_SECONDS + self._read / _SLOWEST:
            raise self._lost("is too slow")
        return data

    def close(self) -> None:
        """Closes the connection without reading the rest of the body, which may be long."""
        self._answer.close()

    def _lost(self, problem: str) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"the registry's answer {problem}", where=self._host, next_step="Check your network, then run again"
        )
