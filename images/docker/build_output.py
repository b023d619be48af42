"""Reads the engine's build output: the stream of JSON objects that the classic builder and BuildKit send.

The classic builder sends text. BuildKit in an engine sends its own protobuf messages in base64:
https://github.com/moby/buildkit/blob/master/api/services/control/control.proto (StatusResponse); its client prints the
same as JSON: https://github.com/moby/buildkit/blob/master/client/graph.go (SolveStatus).
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from ...core.errors import DockerError
from ...core.security.masked_text import masked
from .dockerfile_parse import line_of
from .engine_transfer import EngineTransfer

_TAIL = 40
# StatusResponse: 1 = vertexes, 3 = logs. Vertex: 1 = digest, 3 = name, 4 = cached, 5 = started, 6 = completed,
# 7 = error. VertexStatus: 1 = id, 3 = name, 4 = current, 5 = total, 8 = completed. VertexLog: 1 = vertex, 4 = bytes.
_VERTEX, _STATUS, _LOG = 1, 2, 3
_CURRENT, _TOTAL, _COMPLETED = 4, 5, 8
_DOWNLOADING = "downloading"
_DIGEST, _NAME, _CACHED, _STARTED, _ERROR, _BYTES = 1, 3, 4, 5, 7, 4
# "Step 3/9 : RUN x" of the classic builder, "STEP 3/9: RUN x" of podman, with "[1/2] " before it if there are stages.
_TEXT_STEP = re.compile(r"^(Step \d+/\d+ : |(\[\d+/\d+\] )?STEP \d+/\d+: )")
_VERTEX_STEP = re.compile(r"^\[[^]]*\d+/\d+\] ")
"""BuildKit's "[train 3/9] RUN x"."""
_ENGINE_PARTS = re.compile(r"^((failed to solve[^:]*|failed to create LLB definition|rpc error): )+")
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class BuildOutput:
    """Logs the output of one build, and keeps what the error message of a failed build needs.

    Attributes:
        image_id: The built image's id; empty until the engine reports it.
        tail: The last lines, oldest first.
    """

    def __init__(self, dockerfile: str, log: Callable[[str], None], transfer: EngineTransfer | None = None) -> None:
        self.image_id = ""
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._dockerfile = dockerfile
        self._transfer = transfer
        self._log = log
        self._open = ""
        self._step = ""
        self._begun: set[str] = set()
        self._cached: set[str] = set()

    def handle(self, answer: dict[str, Any]) -> None:
        """Handles one object of the stream.

        Raises:
            DockerError: The build failed; names the instruction.
        """
        if "error" in answer or "errorDetail" in answer:
            self.fail(answer.get("errorDetail", {}).get("message") or str(answer.get("error")))
        if "stream" in answer:
            self._text(answer["stream"])
        elif answer.get("id") == "moby.buildkit.trace":
            self._trace(base64.b64decode(answer["aux"]))
        elif isinstance(answer.get("aux"), dict) and "ID" in answer["aux"]:
            self.image_id = answer["aux"]["ID"]
        elif "status" in answer and "progressDetail" not in answer:
            self._line(str(answer["status"]))

    def handle_status(self, status: Mapping[str, Any]) -> None:
        """Handles one object that `buildctl --progress=rawjson` prints."""
        for vertex in status.get("vertexes") or ():
            self._vertex(
                str(vertex.get("digest", "")),
                str(vertex.get("name", "")),
                has_begun="started" in vertex,
                is_cached=bool(vertex.get("cached")),
                has_failed=bool(vertex.get("error")),
            )
        for layer in status.get("statuses") or ():
            if layer.get("name") == _DOWNLOADING:
                self._count(
                    str(layer["id"]), layer.get("current", 0), layer.get("total", 0), ended="completed" in layer
                )
        for log in status.get("logs") or ():
            self._text(base64.b64decode(log.get("data") or "").decode(errors="replace"))

    def fail(self, message: str) -> NoReturn:
        """Raises the error of a build that failed with this message; it names the instruction.

        Raises:
            DockerError: Always.
        """
        self._end_line()
        raise self._failure(masked(message))

    def _text(self, text: str) -> None:
        """Adds text, which arrives in pieces; a line is logged when it is complete."""
        *lines, self._open = (self._open + text).split("\n")
        for line in lines:
            self._line(line)

    def _end_line(self) -> None:
        if self._open:
            self._line(self._open)
            self._open = ""

    def _line(self, line: str) -> None:
        # A progress bar redraws its line: only the last state is logged.
        # A step may print the secret that it mounts.
        shown = masked(_COLOURS.sub("", line).rstrip().rpartition("\r")[2])
        if not shown:
            return
        if _TEXT_STEP.match(shown):
            self._step = shown
        self.tail.append(shown)
        self._log(shown)

    def _trace(self, message: bytes) -> None:
        for number, value in _fields(message):
            found = dict(_fields(value)) if number in (_VERTEX, _STATUS, _LOG) else {}
            if number == _VERTEX:
                self._vertex(
                    _shown(found.get(_DIGEST)),
                    _shown(found.get(_NAME)),
                    has_begun=_STARTED in found,
                    is_cached=_CACHED in found,
                    has_failed=_ERROR in found,
                )
            elif number == _STATUS and found.get(_NAME) == _DOWNLOADING.encode():
                sizes = (_varint(found.get(name, b"\0"), 0)[0] for name in (_CURRENT, _TOTAL))
                self._count(_shown(found.get(_DIGEST)), *sizes, ended=_COMPLETED in found)
            elif number == _LOG:
                self._text(_shown(found.get(_BYTES)))

    def _vertex(self, digest: str, name: str, *, has_begun: bool, is_cached: bool, has_failed: bool) -> None:
        if name.startswith("[internal]") or not name.startswith("["):
            return
        if has_failed:
            self._step = name
        if (has_begun or is_cached) and digest not in self._begun:
            self._end_line()
            self._begun.add(digest)
            self._line(name)
        if is_cached and digest not in self._cached:
            self._cached.add(digest)
            self._line(f"{name.partition(']')[0]}] CACHED")

    def _count(self, layer: str, current: int, total: int, *, ended: bool) -> None:
        """Counts the download of a base's layer."""
        if self._transfer is None:
            return
        if ended:
            self._transfer.ended(layer)
        else:
            self._transfer.moved(layer, current, total)

    def _failure(self, message: str) -> DockerError:
        step = _VERTEX_STEP.sub("", _TEXT_STEP.sub("", self._step))
        line = line_of(self._dockerfile, step) if step else None
        what, next_step = first_line(message), "Fix that line; the log ends with its output"
        if "no active sessions" in message:  # this needs a session with the client, which only docker's own has
            what = "it asks for a password, which only docker's own client can give"
            next_step = "docker pull a base that needs a password"
        elif "unset ssh forward key" in message or "no SSH key" in message:
            what = "it requires an ssh agent, which a build doesn't get here"
            next_step = "Mount a token as a secret instead: build-secrets under [tool.vertex-training]"
        return DockerError(
            f"the build failed: {what}",
            where=" ".join(["Dockerfile", *([f"line {line}:"] if line else []), step]).strip(),
            next_step=next_step,
            detail="\n".join([*self.tail, message]),
        )


def _shown(field: bytes | None) -> str:
    return (field or b"").decode(errors="replace")


def first_line(message: str) -> str:
    """The first line of an engine's message, without the names of the engine's parts before it."""
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    return _ENGINE_PARTS.sub("", line)


def json_lines(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a stream of JSON lines that arrives in chunks."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines if line.strip())
    if rest.strip():
        yield json.loads(rest)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message, as field numbers and raw bytes.

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
