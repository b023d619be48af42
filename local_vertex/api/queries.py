"""What the list methods can be asked: fields and operators of jobs and of log lines, as SQL; and page tokens."""

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
    """A condition over the store's `jobs` for the filter of ListCustomJobs.

    Args:
        text: The filter; empty matches every job.
        states: The names of all states.

    Raises:
        FilterError: It is no filter, or asks what ListCustomJobs does not offer.
    """

    def compare(term: Compare) -> Condition:
        if term.field == "display_name":
            return _display_name(term)
        if term.field == "state":
            _allow(term, "=", "!=")
            if term.value not in states:
                raise FilterError(f"{term.value!r} is no job state")
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
    # `*` is the filter's wildcard; GLOB's other signs stand for themselves.
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
    """A condition over the store's `logs` for the filter of ListLogEntries and TailLogEntries.

    Args:
        text: The filter; empty matches every line.
        project: The project's id, part of log names.

    Raises:
        FilterError: It is no filter, or asks what is not served here.
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
            _allow(term, "=", "!=", ":")  # SQLite would order numbers and texts among each other
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
    """What a JSON field is compared with: a number where the text is one."""
    try:
        return float(text)
    except ValueError:
        return text


def _severity(name: str) -> int:
    if name.upper() not in SEVERITIES:
        raise FilterError(f"{name!r} is no severity: use one of {', '.join(SEVERITIES)}")
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
    """A page token that was not made for this query."""


def page_token(place: Sequence[int | float], query: Sequence[str]) -> str:
    """A token for the page after `place` of `query`; useless for any other query."""
    data = json.dumps([_fingerprint(query), *place])
    return base64.urlsafe_b64encode(data.encode()).decode()


def page_place(token: str, query: Sequence[str], parts: int) -> list[float] | None:
    """The place where the page starts, of so many numbers; None for the first page (an empty token).

    Raises:
        PageTokenError: No token at all, or one of another query.
    """
    if not token:
        return None
    try:
        fingerprint, *place = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError) as error:
        raise PageTokenError("The page token is not valid") from error
    if fingerprint != _fingerprint(query) or len(place) != parts or not all(map(_is_number, place)):
        raise PageTokenError("The page token is not valid for this query")
    return place


def _is_number(part: object) -> bool:
    return isinstance(part, (int, float)) and abs(part) < 2**62  # what SQLite takes


def _fingerprint(query: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(query)).encode()).hexdigest()[:16]
