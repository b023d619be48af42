"""HTTP requests and answers of the storage server, and the errors that become answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote

from ....core.security.parsed_text import parse_json

_REASONS = {
    304: "notModified",
    400: "invalid",
    401: "required",
    404: "notFound",
    405: "methodNotAllowed",
    409: "conflict",
    412: "conditionNotMet",
    416: "requestedRangeNotSatisfiable",
    501: "notImplemented",
    507: "insufficientStorage",
}


class StorageApiError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status.
        message: As Cloud Storage writes it.
        reason: As "conditionNotMet". Default: the usual one of the status.
        location: The header or parameter that was not met, if Cloud Storage names it.
    """

    def __init__(self, status: int, message: str, reason: str = "", location: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason or _REASONS.get(status, "backendError")
        self.location = location

    def document(self) -> dict[str, Any]:
        """The answer's JSON document."""
        detail = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.location:
            detail |= {"locationType": self.location[0], "location": self.location[1]}
        return {"error": {"code": self.status, "message": self.message, "errors": [detail]}}


class Body(Protocol):
    """A request's body, read once and in order."""

    def readinto(self, buffer: memoryview) -> int:
        """Reads up to the buffer's length; 0 at the end. Raises `ConnectionError` if the client is gone before."""
        ...


@dataclass(slots=True)
class Request:
    """A request.

    Attributes:
        method: As "GET".
        path: Without the secret; still quoted, because names of objects contain slashes.
        query: The parameters; of repeated ones the last.
        headers: By name in lower case.
        body: The body.
        length: Its bytes; None when the client didn't say (a chunked body).
        base: What URLs in answers begin with, as "http://127.0.0.1:4321/k-...".
        pairs: All parameters, also repeated ones.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    length: int | None
    base: str
    pairs: Sequence[tuple[str, str]] = ()

    def read_all(self, limit: int = 32 << 20) -> bytes:
        """The whole body.

        Raises:
            StorageApiError: It is longer than `limit` bytes.
        """
        parts: list[bytes] = []
        size, buffer = 0, memoryview(bytearray(64 << 10))
        while count := self.body.readinto(buffer):
            size += count
            if size > limit:
                raise StorageApiError(413, f"The body has more than {limit} bytes.", "uploadTooLarge")
            parts.append(bytes(buffer[:count]))
        return b"".join(parts)

    def read_json(self) -> dict[str, Any]:
        """The body as a JSON object; empty for an empty body.

        Raises:
            StorageApiError: It is none.
        """
        try:
            value = parse_json(self.read_all() or b"{}")
        except ValueError as error:
            raise StorageApiError(400, "Parse Error", "parseError") from error
        if not isinstance(value, dict):
            raise StorageApiError(400, "Parse Error", "parseError")
        return value

    def number(self, name: str) -> int | None:
        """A parameter that must be a whole number; None when it isn't given.

        Raises:
            StorageApiError: It is no number.
        """
        text = self.query.get(name)
        if text is None or text == "":
            return None
        try:
            return int(text)
        except ValueError as error:
            raise StorageApiError(400, f"Invalid value '{text}' for parameter {name}.", "invalidParameter") from error

    def flag(self, name: str) -> bool:
        """A parameter that is "true"."""
        return self.query.get(name, "").lower() == "true"


@dataclass(slots=True)
class Answer:
    """An answer: a few bytes, or a part of an open file, which the server closes.

    Attributes:
        status: HTTP status.
        body: The body, unless there is a file.
        headers: Further headers.
        file: The file whose bytes are the body.
        offset: Where in the file the body begins.
        length: The body's bytes, for a file, or for an answer to HEAD.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: BinaryIO | None = None
    offset: int = 0
    length: int | None = None


_JSON = json.JSONEncoder(ensure_ascii=False)


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:  # noqa: ANN401 - JSON
    """An answer with a JSON document."""
    return Answer(
        status,
        _JSON.encode(document).encode("utf-8", "surrogateescape"),
        {"Content-Type": "application/json; charset=UTF-8", **(headers or {})},
    )


def error_answer(error: StorageApiError, *, as_text: bool = False) -> Answer:
    """The answer for a refused request; for a download as text, as Cloud Storage does."""
    if as_text:
        return Answer(error.status, error.message.encode(), {"Content-Type": "text/html; charset=UTF-8"})
    return json_answer(error.document(), error.status)


def quoted(name: str) -> str:
    """A bucket's or object's name as one part of a path."""
    return quote(name, safe="")
