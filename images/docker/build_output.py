"""The engine's build output as lines for people; both builders speak through the same stream of JSON objects.

The classic builder sends text. BuildKit sends protobuf messages of its own in base64:
https://github.com/moby/buildkit/blob/master/api/services/control/control.proto (StatusResponse).
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...core.errors import DockerError
from .dockerfile_parse import line_of

_TAIL = 40
# StatusResponse: 1 = vertexes, 3 = logs. Vertex: 1 = digest, 3 = name, 4 = cached, 5 = started, 6 = completed,
# 7 = error. VertexLog: 1 = vertex, 4 = bytes.
_VERTEX, _LOG = 1, 3
_DIGEST, _NAME, _CACHED, _STARTED, _ERROR, _BYTES = 1, 3, 4, 5, 7, 4
# "Step 3/9 : RUN x" of the classic builder, "[train 3/9] RUN x" of BuildKit.
_STEP = re.compile(r"^(Step \d+/\d+ : |\[[^]]*\d+/\d+\] )")
_ENGINE_PARTS = re.compile(r"^((failed to solve[^:]*|failed to create LLB definition|rpc error): )+")
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class BuildOutput:
    """Takes the engine's answers one after another; keeps what a failure has to tell.

    Attributes:
        image_id: Of the built image; empty until the engine told it.
        tail: The last lines, oldest first.
    """

    def __init__(self, dockerfile: str, log: Callable[[str], None]) -> None:
        self.image_id = ""
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._dockerfile = dockerfile
        self._log = log
        self._open = ""
        self._step = ""
        self._names: dict[bytes, str] = {}
        self._told: set[tuple[bytes, str]] = set()

    def take(self, answer: dict[str, Any]) -> None:
        """One object of the stream.

        Raises:
            DockerError: The engine said that the build failed; says at which instruction.
        """
        if "error" in answer or "errorDetail" in answer:
            message = answer.get("errorDetail", {}).get("message") or str(answer.get("error"))
            self._end_line()
            raise self._failure(message)
        if "stream" in answer:
            self._text(answer["stream"])
        elif answer.get("id") == "moby.buildkit.trace":
            self._trace(base64.b64decode(answer["aux"]))
        elif isinstance(answer.get("aux"), dict) and "ID" in answer["aux"]:
            self.image_id = answer["aux"]["ID"]
        elif "status" in answer and "progressDetail" not in answer:
            self._line(str(answer["status"]))

    def _text(self, text: str) -> None:
        """Text arrives in pieces; a line is told when it is whole."""
        *lines, self._open = (self._open + text).split("\n")
        for line in lines:
            self._line(line)

    def _end_line(self) -> None:
        if self._open:
            self._line(self._open)
            self._open = ""

    def _line(self, line: str) -> None:
        # Of a progress bar that redraws its line, what it showed last.
        shown = _COLOURS.sub("", line).rstrip().rpartition("\r")[2]
        if not shown:
            return
        if shown.startswith("Step "):
            self._step = shown
        self.tail.append(shown)
        self._log(shown)

    def _trace(self, message: bytes) -> None:
        for number, value in _fields(message):
            if number == _VERTEX:
                self._vertex(dict(_fields(value)))
            elif number == _LOG:
                self._text(dict(_fields(value)).get(_BYTES, b"").decode(errors="replace"))

    def _vertex(self, vertex: dict[int, bytes]) -> None:
        digest, name = vertex.get(_DIGEST, b""), vertex.get(_NAME, b"").decode(errors="replace")
        if name.startswith("[internal]") or not name.startswith("["):
            return
        if _ERROR in vertex:
            self._step = name
        if (_STARTED in vertex or _CACHED in vertex) and digest not in self._names:
            self._end_line()
            self._names[digest] = name
            self._line(name)
        if _CACHED in vertex and (digest, "cached") not in self._told:
            self._told.add((digest, "cached"))
            self._line(f"{name.partition(']')[0]}] CACHED")

    def _failure(self, message: str) -> DockerError:
        step = _STEP.sub("", self._step)
        line = line_of(self._dockerfile, step) if step else None
        what, next_step = first_line(message), "Mend that line; the log ends with what it printed"
        if "no active sessions" in message:  # a second connection to the client, which only docker's own opens
            what = "it asks for a secret, an ssh agent or a password, which only docker's own client can give"
            next_step = "Take that mount out, or docker pull a base that needs a password"
        return DockerError(
            f"the build failed: {what}",
            where=" ".join(["Dockerfile", *([f"line {line}:"] if line else []), step]).strip(),
            next_step=next_step,
            detail="\n".join([*self.tail, message]),
        )


def first_line(message: str) -> str:
    """An engine's message without the names of the engine's own parts in front."""
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    return _ENGINE_PARTS.sub("", line)


def json_lines(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a stream, one a line, however it was cut into pieces."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines if line.strip())
    if rest.strip():
        yield json.loads(rest)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """A protobuf message's fields as numbers and raw bytes; numbers in the values are not needed here.

    https://protobuf.dev/programming-guides/encoding/
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == 2:
            size, position = _varint(message, position)
        elif kind == 0:
            start = position
            _, position = _varint(message, position)
            yield key >> 3, message[start:position]
            continue
        else:
            size = {1: 8, 5: 4}[kind]
        yield key >> 3, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
