"""The fields and operators in filters for jobs and other resources, as SQL; and page tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache

from ...core.security.parsed_text import parse_json
from .filters import Call, Compare, Condition, FilterError, Search, compile_filter, parse, path_of, seconds

_ORDER = ("=", "!=", "<", "<=", ">", ">=")


def compile_jobs(text: str, states: Sequence[str], *, own_table: bool = True) -> Condition:
    """The condition over the store's table `jobs`, or `resources`, for a filter of a list method.

    Args:
        text: The filter; an empty one matches all jobs.
        states: The names of all states.
        own_table: Whether the labels are in the table `labels`, as those of jobs; else they are JSON.

    Raises:
        FilterError: The filter is invalid, or uses fields that these lists don't support.
    """
    where, values = _compiled(text, tuple(states), own_table)
    return where, [*values]


@lru_cache(maxsize=64)  # a client that waits asks with the same filter many times a second
def _compiled(text: str, states: Sequence[str], own_table: bool) -> Condition:
    label = _label if own_table else _json_label

    def compare(term: Compare | Search | Call) -> Condition:
        assert isinstance(term, Compare)
        if term.field == "display_name":
            return _display_name(term)
        if term.field == "state":
            allow(term, "=", "!=")
            if term.value not in states:
                raise FilterError(f"{term.value!r} is not a job state")
            # A pipeline's state is stored as its job's.
            return f"state {term.operator} ?", [term.value.replace("PIPELINE_STATE_", "JOB_STATE_")]
        if term.field == "create_time":
            allow(term, *_ORDER)
            return f"create_time {term.operator} ?", [seconds(term.value)]
        if term.field == "labels" or term.field.startswith("labels."):
            return label(term)
        raise FilterError(f"can't filter by {term.field!r}: use display_name, state, create_time or labels.KEY")

    return compile_filter(parse(text), compare)


def _display_name(term: Compare) -> Condition:
    allow(term, "=", "!=", ":")
    if term.operator != ":":
        return f"display_name {term.operator} ?", [term.value]
    # `*` is the filter's only wildcard; GLOB's others are quoted.
    pattern = "".join(f"[{sign}]" if sign in "[?" else sign for sign in term.value)
    return "display_name GLOB ?", [pattern]


def _label(term: Compare) -> Condition:
    if term.field == "labels":
        allow(term, ":")
        return "seq IN (SELECT job FROM labels WHERE key = ?)", [term.value]
    allow(term, "=", "!=", ":")
    key = ".".join(path_of(term.field)[1:])
    if term.anything:
        allow(term, ":")
        return "seq IN (SELECT job FROM labels WHERE key = ?)", [key]
    word = "NOT IN" if term.operator == "!=" else "IN"
    return f"seq {word} (SELECT job FROM labels WHERE key = ? AND value = ?)", [key, term.value]  # noqa: S608


def _json_label(term: Compare) -> Condition:
    """As `_label`, for labels that are stored as a JSON object."""
    key = term.value if term.field == "labels" else ".".join(path_of(term.field)[1:])
    found = "EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ?"
    if term.field == "labels" or term.anything:
        allow(term, ":")
        return f"{found})", [key]
    allow(term, "=", "!=", ":")
    return f"{'NOT ' if term.operator == '!=' else ''}{found} AND value = ?)", [key, term.value]


def allow(term: Compare, *operators: str) -> None:
    """Raises `FilterError` unless a comparison has one of these operators."""
    if term.operator not in operators:
        raise FilterError(f"{term.field} can't be compared with {term.operator!r}: use {', '.join(operators)}")


class PageTokenError(ValueError):
    """A page token that doesn't belong to this query."""


def page_token(position: Sequence[int | float], query: Sequence[str]) -> str:
    """The token for the page after a position; valid only for the same query.

    Args:
        position: The last item of the page before, as the numbers that it is ordered by.
        query: Everything that must be the same for the next page.
    """
    data = json.dumps([_fingerprint(query), *position])
    return base64.urlsafe_b64encode(data.encode()).decode()


def page_position(token: str, query: Sequence[str], parts: int) -> list[float] | None:
    """The position after which a page starts; None for the first page (an empty token).

    Args:
        token: As `page_token` returned it.
        query: As for `page_token`.
        parts: How many numbers a position has.

    Raises:
        PageTokenError: The token is invalid, or belongs to another query.
    """
    if not token:
        return None
    try:
        fingerprint, *position = parse_json(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError) as error:
        raise PageTokenError("The page token is not valid") from error
    if fingerprint != _fingerprint(query) or len(position) != parts or not all(map(_is_number, position)):
        raise PageTokenError("The page token is not valid for this query")
    return position


def _is_number(part: object) -> bool:
    return isinstance(part, (int, float)) and abs(part) < 2**62  # the range of SQLite's integers


def _fingerprint(query: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(query)).encode()).hexdigest()[:16]
