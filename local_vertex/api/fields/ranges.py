"""Values in requests that protobuf can carry, but that no API accepts: times out of range, numbers that are none."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..schema import Generated
from ..status import Violation, invalid

MAX_DURATION = 315_576_000_000
"""Seconds of the longest google.protobuf.Duration, about 10,000 years."""
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # the years 1 to 9999, in seconds since 1970
_NANOS = 999_999_999


def check(request: Generated, body: str) -> None:
    """Checks every time, duration and number in a request.

    Args:
        request: The request message.
        body: The request's field that paths in errors leave out, for example "custom_job"; empty for none.

    Raises:
        ApiError: INVALID_ARGUMENT; it names every such field.
    """
    found = [Violation(v.field.removeprefix(f"{body}."), v.description) for v in _violations(request, "")]
    if found:
        raise invalid(found)


def _violations(message: Generated, path: str) -> Iterator[Violation]:
    kind = message.DESCRIPTOR.full_name
    if kind == "google.protobuf.Duration":
        yield from _duration(message, path)
    elif kind == "google.protobuf.Timestamp":
        if not (_FIRST_SECOND <= message.seconds <= _LAST_SECOND and 0 <= message.nanos <= _NANOS):
            yield Violation(path, "The time is out of range: it must be in the years 0001 to 9999.")
    elif kind == "google.protobuf.Value" and message.WhichOneof("kind") == "number_value":
        if not math.isfinite(message.number_value):
            yield Violation(path, "The number must be finite.")
    else:
        for field, value in message.ListFields():
            yield from _field(field, value, f"{path}.{field.name}" if path else field.name)


def _field(field: Generated, value: Generated, path: str) -> Iterator[Violation]:
    if field.message_type is None:
        return
    if field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is not None:
            for key, entry in sorted(value.items()):
                yield from _violations(entry, f"{path}[{key}]")
    elif hasattr(value, "DESCRIPTOR"):
        yield from _violations(value, path)
    else:
        for number, entry in enumerate(value):
            yield from _violations(entry, f"{path}[{number}]")


def _duration(message: Generated, path: str) -> Iterator[Violation]:
    seconds, nanos = message.seconds, message.nanos
    if abs(seconds) > MAX_DURATION or abs(nanos) > _NANOS or seconds * nanos < 0:
        yield Violation(
            path,
            f"The duration is out of range: its seconds must be from -{MAX_DURATION} to {MAX_DURATION}, its nanos from"
            f" -{_NANOS} to {_NANOS} with the same sign.",
        )
