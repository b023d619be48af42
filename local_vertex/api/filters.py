"""Parser for the filter language of Google's list methods; filters become SQL conditions.

Grammar: https://google.aip.dev/160, with the value lists, quoted paths, functions and comments of
https://cloud.google.com/logging/docs/view/logging-query-language. NOT binds most tightly, then OR, then AND; AND
may be omitted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

MAX_LENGTH = 20_000
"""Characters of a filter, as Cloud Logging limits it."""
_MAX_DEPTH = 50

Condition = tuple[str, list[object]]
"""SQL with question marks, and the values for them."""


class FilterError(ValueError):
    """An invalid filter; the message says which part is wrong."""


@dataclass(frozen=True, slots=True)
class Compare:
    """`field operator value`; `anything` is set for the unquoted value `*`."""

    field: str
    operator: str
    value: str
    anything: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """A negated term."""

    term: Expression


@dataclass(frozen=True, slots=True)
class And:
    """A conjunction; without terms it is true."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """A disjunction."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """A word or a quoted text without a field: it may stand anywhere."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function, for example `log_id("x")`; its arguments without quotes."""

    name: str
    arguments: tuple[str, ...]


Expression = Compare | Not | And | Or | Search | Call

_TOKEN = re.compile(
    r"""(?:\s|--[^\n]*(?:\n|$))*(?:
        (?P<path>[^\s"'=!<>:(),~-][^\s"'=!<>:()~]*\.(?:"[^"\\]*"(?:\.[\w-]+)*)(?:\."[^"\\]*"(?:\.[\w-]+)*)*)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator>=~|!~|!=|<=|>=|=|<|>|:)
      | (?P<punctuation>[()-])
      | (?P<word>[^\s"'=!<>:()~-][^\s"'=!<>:()~]*)
    )""",
    re.VERBOSE | re.DOTALL,
)


_REST = re.compile(r"(?:\s|--[^\n]*)*")
"""Nothing but comments."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse(text: str, *, of_logs: bool = False) -> Expression:
    """Parses a filter; an empty one matches everything.

    Args:
        text: The filter.
        of_logs: Whether it may have functions, and texts without a field.

    Raises:
        FilterError: The filter is invalid, too long or nested too deeply.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"the filter has {len(text)} characters, more than {MAX_LENGTH}")
    parser = _Parser(_tokens(text), of_logs=of_logs)
    if parser.peek() is None:
        return And(())
    expression = parser.expression(0)
    rest = parser.peek()
    if rest is not None:
        raise FilterError(f"unexpected {rest.text!r} at position {rest.position}")
    return expression


def _tokens(text: str) -> list[_Token]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        if _REST.fullmatch(text, position):
            break
        match = _TOKEN.match(text, position)
        if match is None:
            raise FilterError(f"can't read {text[position:].strip()[:20]!r} at position {position}")
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[_Token], *, of_logs: bool) -> None:
        self._tokens = tokens
        self._of_logs = of_logs
        self._next = 0

    def peek(self, ahead: int = 0) -> _Token | None:
        at = self._next + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def _is(self, text: str) -> bool:
        token = self.peek()
        return token is not None and token.kind in {"word", "punctuation"} and token.text == text

    def _take(self, wanted: str, *kinds: str) -> _Token:
        token = self.peek()
        if token is None:
            raise FilterError(f"the filter ends where {wanted} is missing")
        if token.kind not in kinds:
            raise FilterError(f"{wanted} is missing before {token.text!r} at position {token.position}")
        self._next += 1
        return token

    def expression(self, depth: int) -> Expression:
        if depth > _MAX_DEPTH:
            raise FilterError(f"the filter is nested more than {_MAX_DEPTH} levels deep")
        terms = [self._factor(depth)]
        while self.peek() is not None and not self._is(")"):
            if self._is("AND"):
                self._next += 1
            terms.append(self._factor(depth))
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _factor(self, depth: int) -> Expression:
        terms = [self._term(depth)]
        while self._is("OR"):
            self._next += 1
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _term(self, depth: int) -> Expression:
        if self._is("NOT") or self._is("-"):
            self._next += 1
            return Not(self._simple(depth))
        return self._simple(depth)

    def _simple(self, depth: int) -> Expression:
        if self._is("("):
            self._next += 1
            inner = self.expression(depth + 1)
            self._close()
            return inner
        return self._restriction()

    def _close(self) -> None:
        token = self._take("')'", "punctuation")
        if token.text != ")":
            raise FilterError(f"')' is missing before {token.text!r} at position {token.position}")

    def _restriction(self) -> Expression:
        if self._of_logs and (found := self._without_operator()) is not None:
            return found
        field = self._take("a field", "word", "path")
        if field.text in _KEYWORDS:
            raise FilterError(f"a field is missing before {field.text!r} at position {field.position}")
        operator = self._take(f"an operator after {field.text!r}", "operator").text
        if not self._is("("):
            return self._comparison(field.text, operator)
        self._next += 1
        terms = [self._comparison(field.text, operator)]
        joined_by = "OR"
        while not self._is(")"):
            word = self._take("OR, AND or ')'", "word").text
            if word not in {"AND", "OR"} or (len(terms) > 1 and word != joined_by):
                raise FilterError(f"a list of values is joined by OR or by AND, not {word!r}")
            joined_by = word
            terms.append(self._comparison(field.text, operator))
        self._close()
        return (Or if joined_by == "OR" else And)(tuple(terms))

    def _without_operator(self) -> Expression | None:
        """A function or a text without a field; None where neither comes next."""
        token, after = self.peek(), self.peek(1)
        if token is None or token.kind not in {"word", "string"} or token.text in _KEYWORDS:
            return None
        if after is not None and after.kind == "operator":
            return None
        self._next += 1
        if token.kind == "string":
            return Search(_unquoted(token.text))
        is_call = after is not None and after.text == "(" and after.position == token.position + len(token.text)
        return Call(token.text, self._arguments()) if is_call else Search(token.text)

    def _arguments(self) -> tuple[str, ...]:
        """The arguments of a function, with commas between them."""
        self._next += 1
        found: list[str] = []
        while not self._is(")"):
            token = self._take("')'", "word", "path", "string")
            if token.kind == "string":
                found.append(_unquoted(token.text))
            else:
                found += [part for part in token.text.split(",") if part]
        self._close()
        return tuple(found)

    def _comparison(self, field: str, operator: str) -> Compare:
        token = self._take(f"a value after {field!r}", "word", "string")
        if token.kind == "word":
            return Compare(field, operator, token.text, anything=token.text == "*")
        # A regular expression keeps its backslashes, except those before quotes.
        return Compare(field, operator, _unquoted(token.text, only_quotes=operator in {"=~", "!~"}))


_KEYWORDS = frozenset(("AND", "OR", "NOT"))


def _unquoted(text: str, *, only_quotes: bool = False) -> str:
    escaped = r"\\([\"'\\])" if only_quotes else r"\\(.)"
    return re.sub(escaped, r"\1", text[1:-1], flags=re.DOTALL)


def path_of(field: str) -> list[str]:
    """The parts of a field's path; a part in quotes may have dots."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^."]+)', field)]


def compile_filter(expression: Expression, compare: Callable[[Compare | Search | Call], Condition]) -> Condition:
    """The SQL condition for an expression.

    Args:
        expression: As `parse` returns it.
        compare: Returns the condition for one comparison; its SQL must never be NULL. It gets texts and functions only
            of filters of logs.
    """
    if isinstance(expression, Compare | Search | Call):
        return compare(expression)
    if isinstance(expression, Not):
        sql, values = compile_filter(expression.term, compare)
        return f"NOT ({sql})", values
    if not expression.terms:
        return "1", []
    parts = [compile_filter(term, compare) for term in expression.terms]
    word = " AND " if isinstance(expression, And) else " OR "
    return word.join(f"({sql})" for sql, _ in parts), [value for _, values in parts for value in values]


def seconds(text: str, *, lenient: bool = False) -> float:
    """Parses an RFC 3339 time; returns seconds since 1970.

    Args:
        text: The time.
        lenient: Whether a date, or a time without an offset, is one of UTC, as in Cloud Logging.

    Raises:
        FilterError: The text is not such a time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None and moment.tzinfo is None and lenient:
        moment = moment.replace(tzinfo=UTC)
    if moment is None or moment.tzinfo is None:
        raise FilterError(f"{text!r} is not a time in RFC 3339 format, for example 2026-01-31T12:00:00Z")
    try:
        return moment.timestamp()
    except (OverflowError, ValueError) as error:
        raise FilterError(f"{text!r} is out of range") from error
