"""Finds the exception that ended a Python program, in its log lines.

Only the last line of a traceback is an exception. Other lines may stand between a traceback's lines, because standard
output, other ranks and other threads write to the same log, and because lines may arrive late. So a line counts only if
it comes from the stream, replica and rank that wrote the traceback's first line, and has the form `Name: message`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .job_types import LogLine

_START = re.compile(r"(Exception Group )?Traceback \(most recent call last\):?$")
_FRAME = re.compile(r"\s+File\b")
_RANK = re.compile(r"(\[rank\d+\]: ?)?")
"""Prefix of each line that a rank of torch.distributed writes."""
_GROUP_MARGIN = re.compile(r"^\s*\+[-+]+ \d+ -+$|^\s*\+-+$|^(\s*[|+]\s?)+")
"""Left margin of an exception group's traceback; https://docs.python.org/3/tutorial/errors.html."""

_NAME = r"(?:[A-Za-z_]\w*\.)*"
_EXCEPTION = re.compile(rf"{_NAME}\w*(?:Error|Exception|Exit|Interrupt|Group|Iteration|error|timeout)(?::\s.*|:?)$")
"""A class whose name says that it is an exception, as most names do."""
_CLASS = re.compile(rf"{_NAME}_?[A-Z]\w*(?::\s.*|:?)$")
"""Any class; the first one below the last frame counts if no line matches `_EXCEPTION`."""

_WRAPPERS = re.compile(
    r"(\w+\.)*(ChildFailedError|ProcessRaisedException|ProcessExitedException|(Base)?ExceptionGroup)\b"
)
"""Exceptions that only report another one: of torchrun, of multiprocessing, and groups. The one inside says more."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One log line.

    Attributes:
        source: Its writer: replica, severity and rank. Vertex AI logs standard error as ERROR, standard output as INFO.
        text: The line without the rank's prefix.
    """

    source: tuple[str, str, str]
    text: str


def last_exception(lines: Sequence[LogLine]) -> str:
    """The last line of the last Python traceback, as `ValueError: no rows`; empty when there is none.

    Where that exception only reports another one, the other one is returned.

    Args:
        lines: Log lines by time, one entry a line.
    """
    split = [_split(line) for line in lines]
    starts = [index for index, line in enumerate(split) if _START.match(_without_margin(line.text).strip())]
    found = [text for start in reversed(starts) if (text := _exception(_own_lines(split, start)))]
    return next((text for text in found if not _WRAPPERS.match(text)), found[0] if found else "")


def _split(line: LogLine) -> _Line:
    rank = _RANK.match(line.message)
    prefix = rank[0] if rank else ""
    return _Line((line.task, line.severity, prefix), line.message[len(prefix) :])


def _own_lines(lines: Sequence[_Line], start: int) -> Iterator[str]:
    """The lines below a traceback's first one that the same source wrote, up to its next traceback."""
    source, in_group = lines[start].source, not lines[start].text.startswith("Traceback")
    for line in lines[start + 1 :]:
        if line.source != source:
            continue
        if _START.match(_without_margin(line.text).strip()):
            return
        yield _without_margin(line.text) if in_group else line.text


def _exception(lines: Iterable[str]) -> str:
    """The exception among the lines of one traceback and what follows it."""
    other = wrapper = ""
    for line in lines:
        text = line.rstrip()
        if _FRAME.match(text):
            other = ""  # frames go on, so the line was not the end
        elif _EXCEPTION.match(text) and not _WRAPPERS.match(text):
            return text
        elif _EXCEPTION.match(text):
            wrapper = wrapper or text
        elif not other and _CLASS.match(text):
            other = text
    return wrapper or other


def _without_margin(text: str) -> str:
    return _GROUP_MARGIN.sub("", text)
