"""Ignore files are read as git reads them: compared with git itself on random patterns and names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.suite.hypothesis_profile import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prefect_vertex_training.core.gitignore import GitIgnore, Pattern, lines_of

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is what this compares with")

NAMES = st.sampled_from(
    ["a", "b", "ab", "aa", "a.log", "b.txt", "x y", "a b ", " b", "[a]", "c]", "*", "d\\", "-", "!a", "#a", "é", "a\tb"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
PARTS = st.sampled_from(
    [
        *("a", "b", "ab", "*", "**", "***", "?", "??", "a*", "*b", "*.log", "a**", "**b", "a**b"),
        *("[ab]", "[!a]", "[^a]", "[a-c]", "[c-a]", "[]a]", "[a", "[a-]", "[\\]]", "[!/]", "[a/]", "[a\\-c]"),
        *("[[:alpha:]]", "[[:digit:]a]", "[![:space:]]", "[[:nothing:]]", "[[:alpha]", "[[:]"),
        *("\\a", "\\*", "\\[a\\]", "x\\ y", "\\!a", "\\#a", "a\\", "d\\\\", "\\", "é", "#a", "!a"),
    ]
)
PATTERNS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "", "!", "!"]),
    st.sampled_from(["", "/", "**/"]),
    st.lists(PARTS, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "", "/", "/**", "/**/", "/*", "//", " ", "\\ ", "\t", "\r"]),
)


def git(root: Path, *arguments: str, text: bytes = b"") -> bytes:
    """The output of git, without this machine's own configuration."""
    alone = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, input=text, env=alone)
    assert done.returncode in {0, 1}, done.stderr  # 1: check-ignore found nothing
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty git repository."""
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "--quiet")
    return root


@needs_git
@settings(max_examples=examples(150))
@given(st.lists(PATTERNS, min_size=1, max_size=4), st.sets(NAMES, min_size=1, max_size=6))
@example(["a/**", "!a/b"], {"b"})
@example(["x/a**", "!x/aa"], {"x y"})
def test_the_deciding_pattern_is_the_one_that_git_names(repository: Path, lines: list[str], names: set[str]) -> None:
    """For names in the root and in a folder that is not ignored, `git check-ignore` names the same line, or none."""
    (repository / ".gitignore").write_bytes("\n".join([*lines, "!/a/"]).encode())
    paths = [path for name in sorted(names) for path in (name, f"a/{name}") if path != "a"]
    asked = "".join(f"{path}\0" for path in paths).encode()
    output = git(repository, "check-ignore", "--stdin", "-z", "--verbose", "--non-matching", "--no-index", text=asked)
    fields = output.decode().split("\0")[:-1]
    told = {path: pattern for _, _, pattern, path in zip(*[iter(fields)] * 4, strict=True)}
    expected = {path: None if not pattern else not pattern.startswith("!") for path, pattern in told.items()}

    ignore = GitIgnore(lines_of((repository / ".gitignore").read_bytes().decode()))

    assert expected == {path: ignore.decide(path) for path in paths}


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("a", Pattern("a", ignores=True, folders_only=False, anchored=False)),
        ("!a/", Pattern("a", ignores=False, folders_only=True, anchored=False)),
        ("/a", Pattern("a", ignores=True, folders_only=False, anchored=True)),
        ("a/b  ", Pattern("a/b", ignores=True, folders_only=False, anchored=True)),
        ("a\\  ", Pattern("a\\ ", ignores=True, folders_only=False, anchored=False)),
        ("\\#a", Pattern("\\#a", ignores=True, folders_only=False, anchored=False)),
        ("#a", None),
        ("   ", None),
        ("!", None),
        ("/", None),
    ],
)
def test_a_line_is_taken_apart(line: str, pattern: Pattern | None) -> None:
    """Negation, folder mark, anchor and trailing spaces are told from the pattern itself."""
    assert Pattern.parse(line) == pattern


def test_a_folder_pattern_does_not_match_a_file() -> None:
    """A path that ends in a slash is a folder."""
    ignore = GitIgnore(["a/"])

    assert (ignore.decide("a"), ignore.decide("a/"), ignore.decide("x/a/")) == (None, True, True)


def test_a_pattern_covers_what_is_in_a_folder_unless_a_nearer_one_excepts_it() -> None:
    """`allow-secrets` names folders as well as files."""
    ignore = GitIgnore(["/tests/", "!/tests/real.key", "/deep/*", "!/deep/sub/"])

    assert [ignore.covers(path) for path in ("tests/a/b", "tests/real.key", "deep/a/b", "deep/sub/b", "other")] == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_only_line_feeds_separate_lines() -> None:
    """A form feed or a lone carriage return is part of a name; a byte order mark is not."""
    assert lines_of("\ufeffa\r\nb\x0cc\rd\n") == ["a", "b\x0cc\rd", ""]


@pytest.mark.parametrize("pattern", ["*a" * 12 + "*b", "a/**/" * 8 + "z", "[a-z]*" * 12 + "9", "**a" * 12 + "b"])
@pytest.mark.parametrize("path", ["a" * 200, "a/" * 60 + "a" * 60])
def test_a_pattern_of_many_asterisks_ends(pattern: str, path: str) -> None:
    """Matching by trying every way would take longer than a person's life: a repository could stop a worker."""
    assert not GitIgnore([pattern]).covers(path)
    assert GitIgnore([pattern, "*"]).covers(path)
