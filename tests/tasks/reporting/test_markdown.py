"""Anybody's text in an artifact: shown as it is, and no part of the page."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from prefect_vertex_training.tasks.reporting.markdown import copyable, fenced, link, plain, table, visible

HOSTILE = [
    "a|b<img src=x onerror=window.__pwn=1>.txt",
    "[click](javascript:alert(1)).txt",
    "![t](http://127.0.0.1/track.png)",
    "`tick`.txt",
    "````.txt",
    "new\nline ## H1.txt",
    "</text><script>window.__pwn=3</script>",
    "\x1b]0;title\x07\x1b[31mred <img src=x>",
    "# Your session expired: [log in](http://evil.example/login)",
    "see http://evil.example/`|`?a=<b> or www.evil.example or me@evil.example",
    "&lt;img&gt; \\| \\[x](y) <!-- --> <https://evil.example>",
    "[ref]: http://evil.example\n\n[ref]",
    "| a | b |\n|---|---|\n| c | d |",
    "1. one\n- two\n> three\n    four",
    "\u202egnp.exe",
]
text = st.one_of(st.sampled_from(HOSTILE), st.text(), st.lists(st.sampled_from(HOSTILE), max_size=3).map("`".join))
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])  # HTML is allowed, as on Prefect's pages


def kinds(markdown: str) -> set[str]:
    """The kinds of everything on a page."""

    def walk(tokens: list[Token]) -> set[str]:
        return {kind for token in tokens for kind in {token.type, *walk(token.children or [])}}

    return walk(PARSER.parse(markdown))


def shown(markdown: str) -> str:
    """What a reader sees of one line, without the spaces."""

    def walk(tokens: list[Token]) -> str:
        return "".join(token.content if token.type != "inline" else walk(token.children or []) for token in tokens)

    return "".join(walk(PARSER.parse(markdown)).split())


def readable(line: str) -> str:
    """The same of a text that nobody has escaped."""
    return "".join(visible(line).split())


PLAIN = {"inline", "text", "code_inline", "text_special"}


@given(text)
def test_a_title_means_nothing(words: str) -> None:
    """No picture, link, HTML or table comes of it, and all of it can be read."""
    page = f"# {plain(words)}"

    assert kinds(page) <= PLAIN | {"heading_open", "heading_close"}
    assert shown(page) == readable(words)


@given(text, text)
def test_a_cell_stays_in_its_place(one: str, two: str) -> None:
    """Every row has its two cells, whatever they hold, and a word of a link can't end the link."""
    page = table(["one", "two"], [(one, two), (two, link(one, "https://console.example/x"))])

    found = PARSER.parse(page)
    assert [token.type for token in found].count("td_open") == 4
    assert kinds(page) & {"image", "html_inline", "html_block", "fence"} == set()
    links = [child.attrs["href"] for token in found for child in token.children or [] if child.type == "link_open"]
    assert links in (["https://console.example/x"], [])


@given(text)
def test_a_block_of_code_ends_where_we_end_it(words: str) -> None:
    """Whatever runs of backticks are in it."""
    assert [token.type for token in PARSER.parse(fenced(words))] == ["fence"]


@given(text)
def test_a_line_to_copy_is_not_changed(words: str) -> None:
    """The places for line breaks are the only HTML in it."""
    tags = [
        child.content
        for token in PARSER.parse(f"Image: {copyable(words)}")
        for child in token.children or []
        if child.type == "html_inline"
    ]

    assert set(tags) <= {"<code>", "</code>", "<wbr>"}
    assert not re.search(r"://|www\.|\w@\w", copyable(words))


@pytest.mark.parametrize("words", HOSTILE)
def test_nothing_can_become_a_link(words: str) -> None:
    """Pages make links of bare addresses too: these stand in code, where no page does."""
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", plain(words))

    assert not re.search(r"://|www\.|\w@\w", outside)


def test_a_link_leads_only_to_a_web_page() -> None:
    """And its address can't end it."""
    assert link("x", "javascript:alert(1)") == "x"
    assert link("x", "https://a.example/b)c") == "x"


def test_a_digest_has_a_line_of_its_own() -> None:
    """No page is wide enough for an image's name and its digest together, and some know only spaces for line breaks."""
    reference = f"europe-west4-docker.pkg.dev/p/training/digits@sha256:{'5' * 64}"

    name, digest = re.findall("<code>(.*?)</code>", copyable(reference).replace("<wbr>", "").replace("\\", ""))

    assert f"{name}{digest}" == reference
    assert digest.startswith("sha256:")
