"""Pages of lists, newest first, with a filter; the same for every collection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..schema import Generated
from ..status import Violation, invalid

if TYPE_CHECKING:
    from ..filters import Condition

PAGE_SIZE = 100
R = TypeVar("R")

Find = Callable[[str, Sequence[object], int | None, int], list[tuple[int, R]]]
"""Finds records: a condition, its values, the sequence number of the page before, the largest number of records."""


def page(
    request: Generated, query: Sequence[str], condition: Callable[[str], Condition], find: Find[R]
) -> tuple[list[R], str]:
    """One page of records, and the token of the next.

    Args:
        request: Has `page_size` and `page_token`, and perhaps a `filter`.
        query: What a token belongs to, besides the filter.
        condition: Makes SQL of the filter.
        find: Finds the records.

    Raises:
        ApiError: INVALID_ARGUMENT, for any of these fields.
    """
    # Late: a service that nobody asks for a list yet is ready sooner.
    from ..filters import FilterError
    from ..queries import PageTokenError, page_position, page_token

    if request.page_size < 0:
        raise invalid([Violation("page_size", "The page size must not be negative.")])
    size = min(request.page_size or PAGE_SIZE, PAGE_SIZE)
    text = getattr(request, "filter", "")
    whole = [*query, text]
    try:
        where, values = condition(text)
        position = page_position(request.page_token, whole, 1)
    except FilterError as error:
        raise invalid([Violation("filter", f"{error}.")]) from error
    except PageTokenError as error:
        raise invalid([Violation("page_token", f"{error}.")]) from error
    found = find(where, values, None if position is None else int(position[0]), size + 1)
    token = page_token([found[size - 1][0]], whole) if len(found) > size else ""
    return [record for _, record in found[:size]], token


def masked(mask: Generated, messages: Sequence[Generated], target: Generated, descriptor: Generated) -> None:
    """Adds messages to a repeated field, with the fields of a read mask only.

    Args:
        mask: The FieldMask of the request; empty, or "*", for all fields.
        messages: The messages.
        target: The repeated field.
        descriptor: The type of the messages.

    Raises:
        ApiError: INVALID_ARGUMENT if the mask names a field that the type doesn't have.
    """
    if not mask.paths or list(mask.paths) == ["*"]:
        target.extend(messages)
        return
    if not mask.IsValidForDescriptor(descriptor):
        text = f"`{','.join(mask.paths)}` names a field that {descriptor.name} doesn't have."
        raise invalid([Violation("read_mask", text)])
    for message in messages:
        mask.MergeMessage(message, target.add())
