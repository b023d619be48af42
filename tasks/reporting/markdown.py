"""Text in Markdown: everything that goes into an artifact passes here, so that it is shown as it is and means nothing.

A training script's output, its metrics' names and its model's file names are anybody's text. Prefect's pages draw
Markdown with HTML in it, images and links included, and make links of bare addresses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Sequence

_SEQUENCE = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[ -~]?")
"""Control sequences of terminals, such as colours and titles."""

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~#!&$]")
_LINKED = re.compile(r"(\S*(?:://|\bwww\.|\bmailto:|\w@\w)\S*)", re.IGNORECASE)
"""Words that a page would make links of."""

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Categories of characters that are not seen, or that change how others are shown, as the direction of writing."""

_BREAKS = re.compile(r"(?<=[@:/,=])|(?<=www)(?=\.)", re.IGNORECASE)
"""Places for line breaks, which also keep a page from making a link of what stands around them."""

_DIGEST = re.compile(r"(?<=@)(?=sha256:)")

_CHUNK = re.compile(r".{1,24}")


class Markdown(str):
    """Text that is Markdown already; every other text is escaped before it becomes a part of a page."""

    __slots__ = ()


def plain(text: object) -> Markdown:
    """The text as one line that means nothing in Markdown: for titles, table cells, words of a link or image."""
    if isinstance(text, Markdown):
        return text
    return Markdown("".join(_code(word) if linked else _escaped(word) for word, linked in _words(text)))


def link(words: object, url: str) -> Markdown:
    """A link with these words to an address of our own making; the words alone if it is none that a browser opens."""
    if not re.fullmatch(r"https?://[^\s()<>\\`|]+", url):
        return plain(words)
    return Markdown(f"[{plain(words)}]({url})")


def fenced(text: str) -> Markdown:
    """The text as a block of code, which ends only where we end it; it scrolls where a line is too long."""
    lines = "\n".join(visible(line) for line in text.split("\n"))
    fence = _fence(lines, least=4)
    return Markdown(f"{fence}text\n{lines}\n{fence}")


def copyable(text: object) -> Markdown:
    """One line that people copy: as code that breaks into lines where the page is too narrow, without being changed.

    Prefect's newer pages drop the places for line breaks, and a digest alone is as wide as such a page: it stands in a
    piece of code of its own.
    """
    line = " ".join(visible(str(text)).split())
    return Markdown(" ".join(_breakable(piece) for piece in _DIGEST.split(line) if piece))


def _breakable(line: str) -> str:
    chunks = [_escaped(chunk) for part in _BREAKS.split(line) for chunk in _CHUNK.findall(part)]
    return f"<code>{'<wbr>'.join(chunks)}</code>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Container[int] = ()) -> Markdown:
    """A table; its cells are escaped.

    Args:
        head: The titles of the columns.
        rows: The cells of each row.
        numbers: Which columns, from 0, hold numbers, and are aligned to the right.
    """
    rule = ["---:" if column in numbers else "---" for column in range(len(head))]
    lines = [head, rule, *([_cell(cell) for cell in row] for row in rows)]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _cell(text: object) -> str:
    """As `plain`; in a table, a bar ends a cell even inside of code."""
    if isinstance(text, Markdown):
        return re.sub(r"(?<!\\)\|", r"\|", text)
    parts = (_code(word).replace("|", "\\|") if linked else _escaped(word) for word, linked in _words(text))
    return "".join(parts)


def _words(text: object) -> Iterator[tuple[str, bool]]:
    """The text in one line, as parts of which every second one holds what a page would make a link of."""
    for index, part in enumerate(_LINKED.split(" ".join(visible(str(text)).split()))):
        yield part, bool(index % 2)


def visible(text: str) -> str:
    """The text without control sequences and hidden characters; these become spaces, and tabs stay."""
    text = _SEQUENCE.sub("", text)
    return "".join(" " if unicodedata.category(sign) in _HIDDEN and sign != "\t" else sign for sign in text)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda sign: f"\\{sign[0]}", text)


def _code(text: str) -> str:
    """A code span: no page makes links in it."""
    fence = _fence(text, least=1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _fence(text: str, *, least: int) -> str:
    """Backticks, more than any run of them in the text."""
    return "`" * max([least, *(len(run) + 1 for run in re.findall("`+", text))])
