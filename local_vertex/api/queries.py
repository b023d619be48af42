"""The fields and operators in filters for jobs and log entries, as SQL; and page tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence

from .filters import Compare, Condition, FilterError, compile_filter, parse, seconds

_ORDER = ("=", "!=", "<", "<=", ">", ">=")

SEVERITIES = {
    "DEFAULT": 0,
    "DEBUG": 100,
    "INFO": 200,
    "NOTICE": 300,
    "WARNING": 400,
    "ERROR": 500,
    "CRITICAL": 600,
    "ALERT": 700,
    "EMERGENCY": 800,
}
"""google.logging.type.LogSeverity."""


def compile_jobs(text: str, states: Sequence[str]) -> Condition:
    """The condition over the store's table `jobs` for a filter of ListCustomJobs.

    Args:
        text: The filter; an empty one matches all jobs.
        states: The names of all states.

    Raises:
        FilterError: The filter is invalid, or uses fields that ListCustomJobs doesn't support.
    """

    def compare(term: Compare) -> Condition:
        if term.field == "display_name":
            return _display_name(term)
        if term.field == "state":
            _allow(term, "=", "!=")
            if term.value not in states:
                raise FilterError(f"{term.value!r} is not a job state")
            return f"state {term.operator} ?", [term.value]
        if term.field == "create_time":
            _allow(term, *_ORDER)
            return f"create_time {term.operator} ?", [seconds(term.value)]
        if term.field == "labels" or term.field.startswith("labels."):
            return _label(term)
        raise FilterError(f"can't filter by {term.field!r}: use display_name, state, create_time or labels.KEY")

    return compile_filter(parse(text), compare)


def _display_name(term: Compare) -> Condition:
    _allow(term, "=", "!=", ":")
    if term.operator != ":":
        return f"display_name {term.operator} ?", [term.value]
    # `*` is the filter's only wildcard; GLOB's others are quoted.
    pattern = "".join(f"[{sign}]" if sign in "[?" else sign for sign in term.value)
    return "display_name GLOB ?", [pattern]


def _label(term: Compare) -> Condition:
    if term.field == "labels":
        _allow(term, ":")
        return "seq IN (SELECT job FROM labels WHERE key = ?)", [term.value]
    _allow(term, "=", "!=", ":")
    key = term.field.removeprefix("labels.")
    if term.anything:
        _allow(term, ":")
        return "seq IN (SELECT job FROM labels WHERE key = ?)", [key]
    word = "NOT IN" if term.operator == "!=" else "IN"
    return f"seq {word} (SELECT job FROM labels WHERE key = ? AND value = ?)", [key, term.value]  # noqa: S608


def compile_logs(text: str, project: str) -> Condition:
    """The condition over the store's table `logs` for a filter of ListLogEntries or TailLogEntries.

    Args:
        text: The filter; an empty one matches all entries.
        project: The project's id, which is a part of log names.

    Raises:
        FilterError: The filter is invalid, or uses fields or operators that are not supported here.
    """
    fields: dict[str, tuple[str, Callable[[str], object]]] = {
        "resource.type": ("'ml_job'", str),
        "resource.labels.job_id": ("job_id", str),
        "resource.labels.task_name": ("task", str),
        "resource.labels.project_id": (_literal(project), str),
        "logName": (f"({_literal(f'projects/{project}/logs/')} || task)", str),
        "timestamp": ("timestamp", seconds),
        "insertId": ("printf('%020d', seq)", str),
        "severity": (_severity_sql(), _severity),
        "textPayload": (
            "CASE json_type(payload) WHEN 'text' THEN json_extract(payload, '$') ELSE '' END",
            str,
        ),
    }

    def compare(term: Compare) -> Condition:
        if term.field.startswith("jsonPayload."):
            _allow(term, "=", "!=", ":")  # no <: SQLite would order numbers before texts
            path = "".join(f'."{part}"' for part in term.field.split(".")[1:])
            return _log_condition("coalesce(json_extract(payload, ?), '')", _scalar, term, [f"${path}"])
        if term.field not in fields:
            raise FilterError(f"can't filter by {term.field!r}: use {', '.join(fields)} or jsonPayload.FIELD")
        return _log_condition(*fields[term.field], term, [])

    return compile_filter(parse(text), compare)


def _log_condition(expression: str, convert: Callable[[str], object], term: Compare, before: list[object]) -> Condition:
    _allow(term, ":", *_ORDER)
    if term.operator != ":":
        return f"{expression} {term.operator} ?", [*before, convert(term.value)]
    if term.anything:
        return f"{expression} != ''", before
    return f"instr(lower({expression}), lower(?)) > 0", [*before, term.value]


def _scalar(text: str) -> float | str:
    """The value to compare a JSON field with: a number if the text is one."""
    try:
        return float(text)
    except ValueError:
        return text


def _severity(name: str) -> int:
    if name.upper() not in SEVERITIES:
        raise FilterError(f"{name!r} is not a severity: use one of {', '.join(SEVERITIES)}")
    return SEVERITIES[name.upper()]


def _severity_sql() -> str:
    ranks = " ".join(f"WHEN '{name}' THEN {rank}" for name, rank in SEVERITIES.items())
    return f"CASE severity {ranks} ELSE 0 END"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _allow(term: Compare, *operators: str) -> None:
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
        fingerprint, *position = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError) as error:
        raise PageTokenError("The page token is not valid") from error
    if fingerprint != _fingerprint(query) or len(position) != parts or not all(map(_is_number, position)):
        raise PageTokenError("The page token is not valid for this query")
    return position


def _is_number(part: object) -> bool:
    return isinstance(part, (int, float)) and abs(part) < 2**62  # the range of SQLite's integers


def _fingerprint(query: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(query)).encode()).hexdigest()[:16]
