"""The filter language: parsing, and the SQL that it becomes."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import json
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.local_vertex.api.filters import (
    And,
    Compare,
    Expression,
    FilterError,
    Not,
    Or,
    parse,
    seconds,
)
from prefect_vertex_training.local_vertex.api.log_filters import compile_logs
from prefect_vertex_training.local_vertex.api.queries import (
    PageTokenError,
    compile_jobs,
    page_position,
    page_token,
)
from prefect_vertex_training.local_vertex.store.records import JobRecord, LogEntry
from prefect_vertex_training.local_vertex.store.store import Store

STATES = ["JOB_STATE_PENDING", "JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED"]
NAMES = ["alpha", "beta x", 'quo"te', "st*r", "ümlaut", ""]


def quoted(text: str) -> str:
    """A quoted value."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(expression: Expression) -> str:
    """The text of an expression, with every inner term in parentheses."""
    if isinstance(expression, Compare):
        return f"{expression.field}{expression.operator}{'*' if expression.anything else quoted(expression.value)}"
    if isinstance(expression, Not):
        return f"NOT ({written(expression.term)})"
    word = " AND " if isinstance(expression, And) else " OR "
    return word.join(f"({written(term)})" for term in expression.terms)


comparisons = st.one_of(
    st.builds(
        Compare, st.just("display_name"), st.sampled_from(["=", "!=", ":"]), st.sampled_from([*NAMES, "*a", "b*x"])
    ),
    st.builds(Compare, st.just("state"), st.sampled_from(["=", "!="]), st.sampled_from(STATES)),
    st.builds(
        Compare,
        st.just("create_time"),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.sampled_from([f"1970-01-01T00:00:0{n}Z" for n in range(4)]),
    ),
    st.builds(
        Compare, st.sampled_from(["labels.a", "labels.b-c"]), st.sampled_from(["=", "!=", ":"]), st.sampled_from("xy")
    ),
    st.builds(Compare, st.sampled_from(["labels.a", "labels.b-c"]), st.just(":"), st.just("*"), st.just(True)),
    st.builds(Compare, st.just("labels"), st.just(":"), st.sampled_from(["a", "b-c", "d"])),
)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda terms: And(tuple(terms))),
        st.lists(inner, min_size=2, max_size=3).map(lambda terms: Or(tuple(terms))),
    ),
    max_leaves=6,
)


def matches(expression: Expression, job: JobRecord) -> bool:
    """Evaluates an expression in Python."""
    match expression:
        case Not(term):
            found = not matches(term, job)
        case And(terms):
            found = all(matches(term, job) for term in terms)
        case Or(terms):
            found = any(matches(term, job) for term in terms)
        case Compare("labels", _, key):
            found = key in job.labels
        case Compare("display_name", ":", value):
            found = fnmatch.fnmatchcase(job.display_name, value.replace("[", "[[]").replace("?", "[?]"))
        case Compare(field, _, _, True):
            found = field.removeprefix("labels.") in job.labels
        case Compare("create_time", operator, value):
            found = OPERATORS[operator](job.create_time, seconds(value))
        case Compare(field, operator, value):
            known = {"display_name": job.display_name, "state": job.state}
            left = known.get(field, job.labels.get(field.removeprefix("labels.")))
            found = OPERATORS[operator](left, value)
    return found


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ":": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[JobRecord]]:
    """A store with a job for every combination of name, state, time and labels."""
    store = Store(tmp_path_factory.mktemp("filters") / "store.db")
    labels = [{}, {"a": "x"}, {"a": "y", "b-c": "x"}]
    records = [
        JobRecord(id=str(n), display_name=name, state=state, labels=label, create_time=float(n % 4))
        for n, (name, state, label) in enumerate(itertools.product(NAMES, STATES, labels), start=1)
    ]
    for record in records:
        store.create(record)
    return store, [found for _, found in store.find(limit=10_000)]


@given(expressions)
def test_a_written_filter_reads_back_the_same(expression: Expression) -> None:
    """Parsing is the inverse of writing."""
    assert parse(written(expression)) == expression


@given(expression=expressions)
def test_the_store_finds_what_the_filter_means(jobs: tuple[Store, list[JobRecord]], expression: Expression) -> None:
    """The SQL and the evaluation in Python select the same jobs."""
    store, records = jobs
    where, values = compile_jobs(written(expression), STATES)
    found = [record.id for _, record in store.find(where, values, limit=10_000)]

    assert found == [record.id for record in records if matches(expression, record)]


@given(st.text(alphabet="ab =\"'()-:*<>!~.\\\n", max_size=30) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Every text is parsed, or raises FilterError."""
    with contextlib.suppress(FilterError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", And(())),
        ("  ", And(())),
        ("a=b c=d", And((Compare("a", "=", "b"), Compare("c", "=", "d")))),
        ("a=1 AND b=2 OR c=3", And((Compare("a", "=", "1"), Or((Compare("b", "=", "2"), Compare("c", "=", "3")))))),
        ("-a=b", Not(Compare("a", "=", "b"))),
        ("NOT a=b", Not(Compare("a", "=", "b"))),
        ("labels.team=ml-research", Compare("labels.team", "=", "ml-research")),
        ("labels.k:*", Compare("labels.k", ":", "*", anything=True)),
        ('labels.k:"*"', Compare("labels.k", ":", "*")),
        ("a='it''s'", FilterError),
        ('id=("1" OR "2")', Or((Compare("id", "=", "1"), Compare("id", "=", "2")))),
        ("id=(1 AND 2)", And((Compare("id", "=", "1"), Compare("id", "=", "2")))),
        ("id=(1)", Or((Compare("id", "=", "1"),))),
        ("id=(1 OR 2 AND 3)", FilterError),
        ("id=(1 2)", FilterError),
        ("id=()", FilterError),
        ("a", FilterError),
        ("a=", FilterError),
        ("=b", FilterError),
        ("a=b AND", FilterError),
        ("a=b OR", FilterError),
        ("AND a=b", FilterError),
        ("NOT", FilterError),
        ("(a=b", FilterError),
        ("a=b)", FilterError),
        ('a="b', FilterError),
        ("(" * 100 + "a=b" + ")" * 100, FilterError),
        ("a=" + "b" * 20_001, FilterError),
    ],
)
def test_the_grammar(text: str, expected: Expression | type[FilterError]) -> None:
    """OR binds more tightly than AND, AND may be omitted, and lists of values are expanded."""
    if isinstance(expected, type):
        with pytest.raises(expected):
            parse(text)
    else:
        assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name=x", "name"),
        ("state=RUNNING", "RUNNING"),
        ('state:"JOB_STATE_FAILED"', "':'"),
        ("create_time>yesterday", "RFC 3339"),
        ('create_time>"2026-01-01T00:00:00"', "RFC 3339"),
        ("labels=a", "'='"),
        ("labels.a>b", "'>'"),
        ("labels.a=*", "'='"),
        ("display_name=~x", "'=~'"),
    ],
)
def test_what_jobs_can_not_be_asked_is_refused(text: str, part: str) -> None:
    """The error names the invalid part."""
    with pytest.raises(FilterError, match=re.escape(part)):
        compile_jobs(text, STATES)


@given(st.lists(st.integers() | st.floats() | st.text() | st.none(), max_size=3) | st.none(), st.integers(1, 2))
def test_a_forged_page_token_is_valid_or_rejected(position: list[Any] | None, parts: int) -> None:
    """A forged token is rejected, or gives a position that SQLite can compare."""
    token = page_token(position or [], ["q"]) if position != [] else "AAAA"
    with contextlib.suppress(PageTokenError):
        found = page_position(token, ["q"], parts)
        assert found == position
        assert found is not None
        assert len(found) == parts
        assert all(abs(part) < 2**62 for part in found)


LINES = [
    LogEntry(1.0, "INFO", "workerpool0-0", "loss 0.5"),
    LogEntry(2.0, "ERROR", "workerpool0-0", "it's broken"),
    LogEntry(3.0, "WARNING", "service", {"message": "Job completed", "deep": {"er": "x"}}),
    LogEntry(4.0, "DEFAULT", "workerpool1-0", {"loss": 5}),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [1, 2, 3, 4, 5]),
        ('resource.type="ml_job"', [1, 2, 3, 4, 5]),
        ('resource.type="gce_instance"', []),
        ('resource.type="ml_job" AND resource.labels.job_id="1"', [1, 2, 3, 4]),
        ('resource.labels.job_id=("1" OR "2")', [1, 2, 3, 4, 5]),
        ('resource.labels.job_id="1" AND resource.labels.task_name="workerpool0-0"', [1, 2]),
        ('NOT resource.labels.task_name="service"', [1, 2, 4, 5]),
        ('timestamp>="1970-01-01T00:00:02Z" timestamp<"1970-01-01T00:00:04Z"', [2, 3]),
        ("severity>=WARNING", [2, 3]),
        ("severity=default", [4]),
        ('logName="projects/it\'s/logs/service"', [3]),
        ('resource.labels.project_id="it\'s"', [1, 2, 3, 4, 5]),
        ('insertId>"00000000000000000003"', [4, 5]),
        ('textPayload:"LOSS"', [1]),
        ('textPayload="it\'s broken"', [2]),
        ('jsonPayload.message:"completed"', [3]),
        ('jsonPayload.deep.er="x"', [3]),
        ("jsonPayload.loss:*", [4]),
        ("jsonPayload.loss=5", [4]),
        ("jsonPayload.loss!=5 AND jsonPayload.loss:*", []),
        ("jsonPayload.loss>4.5", [4]),
        ('jsonPayload.loss>"a"', []),
        ("jsonPayload.none!=5", []),
        ("NOT jsonPayload.none=5", [1, 2, 3, 4, 5]),
        ("jsonPayload:*", [3, 4]),
        # What programs in public code send.
        ('labels."ml.googleapis.com/job_id"="1"', [1, 2, 4]),
        ('labels."ml.googleapis.com/endpoint"="x"', []),
        ('labels."ml.googleapis.com/endpoint"=""', [3]),
        ('resource.labels."job_id"="1"', [1, 2, 3, 4]),
        ('"s broken"', [2]),
        ("LOSS", [1, 4]),
        ("loss 0.5", [1]),
        ("broken OR completed", [2, 3]),
        ("workerpool1-0", [4]),
        ('textPayload=~"^loss [0-9.]+$"', [1]),
        ('textPayload!~"loss"', [2, 3, 4, 5]),
        ('jsonPayload.message=~"complet"', [3]),
        ('log_id("service")', [3]),
        ("-- a comment\nseverity=default -- another", [4]),
        ("-- nothing but a comment", [1, 2, 3, 4, 5]),
        ('timestamp>="1970-01-01"', [1, 2, 3, 4, 5]),
        ('receiveTimestamp<"1970-01-01T00:00:02"', [1]),
        ("protoPayload.serviceName=x", []),
        ("NOT protoPayload.serviceName=x", [1, 2, 3, 4, 5]),
        ('resource.labels.region="us-central1"', []),
        ("httpRequest.status=5", []),
        ("sample(insertId, 1)", [1, 2, 3, 4, 5]),
        ("sample(insertId, 0)", []),
        ('SEARCH("broken")', [2]),
    ],
)
def test_log_filters(tmp_path: Path, text: str, expected: list[int]) -> None:
    """All fields of log entries can be used in filters."""
    store = Store(tmp_path / "store.db")
    for number in "12":
        store.create(JobRecord(id=number))
    store.append_logs("1", LINES)
    store.append_logs("2", [LogEntry(9.0, "INFO", "workerpool0-0", json.dumps("plain"))])
    where, values = compile_logs(text, "it's")

    assert [line.seq for line in store.find_logs(where, values)] == expected


@pytest.mark.parametrize(
    "text",
    [
        *("severity=LOUD", "timestamp>soon", "nothing=1", 'textPayload=~"("', "labels:x"),
        *("unknown(x)", "sample(severity, 0.5)", "sample(insertId, 2)", 'labels."a"'),
    ],
)
def test_what_lines_can_not_be_asked_is_refused(text: str) -> None:
    """An unsupported filter is an error, never a wrong result."""
    with pytest.raises(FilterError):
        compile_logs(text, "p")
