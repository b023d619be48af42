"""The fields, operators and functions in filters for log entries, as SQL.

https://cloud.google.com/logging/docs/view/logging-query-language: comparisons ignore case, except regular expressions;
a comparison with a field that an entry doesn't have is false; a field that no entry can have is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .fields.entry_labels import ENDPOINT, JOB_ID, JOB_STATE, JOB_STATES
from .fields.severities import SEVERITIES
from .filters import Call, Compare, Condition, FilterError, Search, compile_filter, parse, path_of, seconds
from .queries import allow

_ORDER = ("=", "!=", "<", "<=", ">", ">=")
_MATCHES = ("=~", "!~")

# Fields of LogEntry that the entries here never have; they count as empty texts.
_EMPTY = frozenset(("httpRequest", "operation", "sourceLocation", "split", "trace", "spanId", "traceSampled"))
_IS_TEXT = "json_type(payload) = 'text'"
_OWN = "extra IS NULL"  # an entry of a job, not one that a client wrote


@dataclass(frozen=True, slots=True)
class _Field:
    """How a field is read.

    Attributes:
        sql: An expression that is NULL for an entry without the field.
        values: The values of its question marks.
        convert: Makes the value to compare with of the filter's text.
        empty: Whether an entry without the field counts as one with an empty text.
        case: Whether case counts.
    """

    sql: str
    values: tuple[object, ...] = ()
    convert: Callable[[str], object] = str
    empty: bool = False
    case: bool = False


def compile_logs(text: str, project: str) -> Condition:
    """The condition over the store's table `logs` for a filter of ListLogEntries or TailLogEntries.

    Args:
        text: The filter; an empty one matches all entries.
        project: The project's id, which is a part of log names.

    Raises:
        FilterError: The filter is invalid, or uses a field that no entry can have.
    """

    def compare(term: Compare | Search | Call) -> Condition:
        if isinstance(term, Search):
            return _search(term.text)
        if isinstance(term, Call):
            return _call(term)
        path = path_of(term.field)
        if not path:
            raise FilterError(f"{term.field!r} is not a field")
        if path[0] == "jsonPayload":
            return _json(term, path[1:])
        if term.field in {"labels", "resource.labels"}:
            raise FilterError(f"can't filter by {term.field!r}: name a label, as in {term.field}.KEY")
        return _compare(_field(path, project), term)

    return compile_filter(parse(text, of_logs=True), compare)


def _field(path: Sequence[str], project: str) -> _Field:
    name = ".".join(path)
    fields = {
        # First those by which whole logs are read: their condition is a plain column, so that an index can be used.
        "resource.labels.job_id": _Field("job_id", case=True),
        "resource.labels.task_name": _Field("task", case=True),
        "resource.type": _Field(f"CASE WHEN {_OWN} THEN 'ml_job' ELSE json_extract(extra, '$.type') END"),
        "resource.labels.project_id": _Field("?", (project,)),
        "logName": _Field("? || task", (f"projects/{project}/logs/",)),
        "timestamp": _Field("timestamp", convert=_time),
        "receiveTimestamp": _Field("timestamp", convert=_time),
        "insertId": _Field("printf('%020d', seq)"),
        "severity": _Field(_severity_sql(), convert=_severity),
        "textPayload": _Field(f"CASE WHEN {_IS_TEXT} THEN json_extract(payload, '$') END", empty=True),
    }
    if name in fields:
        return fields[name]
    if path[0] == "labels" and len(path) > 1:
        return _label(".".join(path[1:]))
    if path[:2] == ["resource", "labels"] and len(path) > 2:
        return _Field("json_extract(extra, ?)", (_json_path(["resource", ".".join(path[2:])]),))
    if path[0] == "protoPayload":
        return _Field("NULL")
    if path[0] in _EMPTY:
        return _Field("''", empty=True)
    known = ", ".join([*fields, "labels.KEY", "resource.labels.KEY", "jsonPayload.FIELD"])
    raise FilterError(f"can't filter by {name!r}: use {known}")


def _label(key: str) -> _Field:
    """A label: those of jobs' entries follow from the entry, those of clients' entries are stored."""
    of_job = {
        ENDPOINT: "CASE WHEN task = 'service' THEN '' END",
        JOB_STATE: "CASE WHEN task = 'service' THEN CASE json_extract(payload, '$')"
        + "".join(f" WHEN {_literal(text)} THEN {_literal(state)}" for text, state in JOB_STATES.items())
        + " END END",
        JOB_ID: "CASE WHEN task != 'service' THEN job_id END",
    }.get(key, "NULL")
    return _Field(f"CASE WHEN {_OWN} THEN {of_job} ELSE json_extract(extra, ?) END", (_json_path(["labels", key]),))


def _compare(field: _Field, term: Compare) -> Condition:
    allow(term, ":", *_ORDER, *_MATCHES)
    values: list[object] = list(field.values)
    if term.operator in _MATCHES:
        return _regex(field, term)
    if term.anything and term.operator in {":", "="}:
        return (f"{field.sql} != ''" if field.empty else f"({field.sql}) IS NOT NULL"), values
    if term.operator == ":" and field.convert is str:
        return _safe(f"instr(lower({field.sql}), lower(?)) > 0"), [*values, term.value]
    operator = "=" if term.operator == ":" else term.operator
    sql = f"coalesce({field.sql}, '')" if field.empty else f"({field.sql})"
    collate = " COLLATE NOCASE" if field.convert is str and not field.case else ""
    return _safe(f"{sql} {operator} ?{collate}", field.sql), [*values, field.convert(term.value)]


def _regex(field: _Field, term: Compare) -> Condition:
    _require_regex(term.value)
    sql = f"matches(?, {field.sql})"
    if term.operator == "!~":
        return f"NOT {sql}", [term.value, *field.values]
    return sql, [term.value, *field.values]


def _json(term: Compare, path: Sequence[str]) -> Condition:
    """A field of jsonPayload; a number is compared as one, whatever its form in the filter."""
    allow(term, ":", *_ORDER, *_MATCHES)
    where = _json_path(path)
    field = f"json_extract(payload, {_literal(where)})"
    kind = f"json_type(payload, {_literal(where)})"
    if not path:
        field, kind = "payload", "CASE WHEN json_type(payload) = 'object' THEN 'object' END"
    if term.operator in _MATCHES:
        return _regex(_Field(f"CASE WHEN {kind} = 'text' THEN {field} END"), term)
    if term.anything and term.operator in {":", "="}:
        return f"{kind} IS NOT NULL", []
    if term.operator == ":":
        return _safe(f"{kind} IS NOT NULL AND mentions({field}, ?)"), [term.value]
    text = f"CASE {kind} WHEN 'text' THEN {field} WHEN 'null' THEN 'NULL_VALUE' ELSE {kind} END"
    is_text = f"{kind} IN ('text', 'true', 'false', 'null')"
    sql = f"({is_text} AND {text} {term.operator} ? COLLATE NOCASE)"
    values: list[object] = [term.value]
    if (number := _number(term.value)) is not None:
        sql += f" OR ({kind} IN ('integer', 'real') AND {field} {term.operator} ?)"
        values.append(number)
    elif term.operator == "!=":
        sql += f" OR {kind} IN ('integer', 'real', 'array', 'object')"
    return _safe(sql), values


def _search(text: str) -> Condition:
    """A text anywhere in an entry."""
    return "(mentions(payload, ?) OR mentions(task, ?) OR mentions(job_id, ?))", [text, text, text]


def _call(term: Call) -> Condition:
    name, arguments = term.name.lower(), term.arguments
    if name == "log_id" and len(arguments) == 1:
        return "task = ?", [arguments[0]]
    if name == "search" and len(arguments) in {1, 2}:
        return _search(arguments[-1])
    if name == "sample" and len(arguments) == 2:
        fraction = _number(arguments[1])
        if arguments[0] == "insertId" and fraction is not None and 0 <= fraction <= 1:
            # The same entries each time, spread evenly (Knuth's multiplicative hash).
            return "((seq * 2654435761) % 4294967296) < ? * 4294967296", [fraction]
    raise FilterError(
        f"can't use {term.name}({', '.join(arguments)}): the functions are log_id(LOG), SEARCH(TEXT) and"
        " sample(insertId, FRACTION)"
    )


def _safe(sql: str, nullable: str = "") -> str:
    """A condition that is false, not NULL, where a field is missing."""
    return sql if nullable in {"job_id", "task", "timestamp"} else f"coalesce(({sql}), 0)"


def _require_regex(pattern: str) -> None:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        raise FilterError(f"{pattern!r} is not a regular expression of RE2: {error}") from error


def _json_path(parts: Sequence[str]) -> str:
    if any('"' in part for part in parts):
        raise FilterError("a field's name can't contain a quote")
    return "$" + "".join(f'."{part}"' for part in parts)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _time(text: str) -> float:
    return seconds(text, lenient=True)


def _severity(name: str) -> int:
    if name.isdecimal() and int(name) in SEVERITIES.values():
        return int(name)
    if name.upper() not in SEVERITIES:
        raise FilterError(f"{name!r} is not a severity: use one of {', '.join(SEVERITIES)}")
    return SEVERITIES[name.upper()]


def _severity_sql() -> str:
    ranks = " ".join(f"WHEN '{name}' THEN {rank}" for name, rank in SEVERITIES.items())
    return f"CASE severity {ranks} ELSE 0 END"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
