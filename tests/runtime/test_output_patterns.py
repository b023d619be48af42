"""What a pattern of `outputs` matches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.runtime.output_patterns import OutputPatterns


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("out/*.pt", "out/model.pt", True),
        ("out/*.pt", "out/deep/model.pt", False),
        ("out/*.pt", "out/model.pt/data.pkl", True),  # a folder that matches is taken whole
        ("mlruns/**", "mlruns/0/meta.yaml", True),
        ("mlruns", "mlruns/0/meta.yaml", True),
        ("./mlruns/", "mlruns/0/meta.yaml", True),
        ("mlruns", "mlruns2/meta.yaml", False),
        ("**/*.ckpt", "last.ckpt", True),
        ("**/*.ckpt", "a/b/last.ckpt", True),
        ("**/*.ckpt", "a/b/last.txt", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("run-[0-9]?", "run-12", True),
        ("run-[0-9]?", "run-x2", False),
        ("*", ".hidden", True),
    ],
)
def test_what_matches(pattern: str, path: str, matches: bool) -> None:
    """Names are matched one by one; `**` is any number of folders."""
    assert OutputPatterns([pattern]).match(path) is matches


@pytest.mark.parametrize("pattern", ["", ".", "/", "/etc/passwd", "../other", "out/../../other"])
def test_a_pattern_outside_of_the_working_directory_is_refused(pattern: str) -> None:
    """No pattern can reach a file outside."""
    with pytest.raises(ValueError, match="inside the working directory"):
        OutputPatterns([pattern])


NAMES = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=5)
GLOBS = st.lists(st.sampled_from(["a", "*", "a*", "?b", "**"]), min_size=1, max_size=5)


@given(NAMES, GLOBS)
def test_matching_agrees_with_a_regular_expression(path: list[str], glob: list[str]) -> None:
    """The same as the pattern's translation to a regular expression over whole names."""
    translated = "".join(
        "(?:[^/]+/)*" if part == "**" else part.replace("*", "[^/]*").replace("?", "[^/]") + "/"
        for part in [*glob, "**"]
    )

    assert OutputPatterns(["/".join(glob)]).match("/".join(path)) is bool(
        re.fullmatch(translated, "/".join(path) + "/")
    )


@given(NAMES, GLOBS)
def test_every_folder_of_a_match_is_searched(path: list[str], glob: list[str]) -> None:
    """Leaving out folders never loses a file."""
    patterns = OutputPatterns(["/".join(glob)])
    if patterns.match("/".join(path)):
        assert all(patterns.may_match_below("/".join(path[:end])) for end in range(1, len(path)))
