"""What the documents say of the repository is true: files, links, commands and words."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from fixtures.suite.module_graph import ROOT

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "examples/**/*.md", "local_vertex/*.md")
    for path in ROOT.glob(pattern)
)

QUESTION = re.compile(r"^\| (Where [^|*\n]*\*\*([^|*\n]+)\*\*[^|*\n]*\?) \| `([^`\n]+)` \|$", re.MULTILINE)

LINK = re.compile(r"\]\((?![a-z]+:)(?P<target>[^)#]+)")

POINT = re.compile(r"Point [AB]\b")

CODE_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Question(NamedTuple):
    """A row of the table in docs/architecture.md: which file answers a question, and the question's noun."""

    question: str
    noun: str
    file: str


QUESTIONS = [Question(*found) for found in QUESTION.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))]


def test_forty_questions_are_answered() -> None:
    """Each question once, each by a file of its own."""
    assert len(QUESTIONS) >= 40
    assert len({question.question for question in QUESTIONS}) == len({question.file for question in QUESTIONS})
    assert len({question.file for question in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.file)
def test_the_file_is_about_the_noun(question: Question) -> None:
    """The file exists, and its name or its docstring holds the question's noun."""
    path = ROOT / question.file
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    name = path.stem.replace("_", " ")

    assert question.noun.casefold() in f"{name} {docstring}".casefold()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link of a document is a file or folder."""
    targets = LINK.findall(document.read_text("utf-8"))

    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_paths_in_the_architecture_exist() -> None:
    """Files and folders that the text names."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.py)?)`", text))

    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_each_decision_is_complete_and_listed() -> None:
    """Context, decision, consequences; half a page; and a line in the list of decisions."""
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text("utf-8")))
    decisions = {path.name: path.read_text("utf-8") for path in folder.glob("[0-9]*.md")}

    assert listed == decisions.keys()
    assert len(decisions) >= 10
    for name, text in decisions.items():
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], name
        assert len(text.split()) <= 350, f"{name} is longer than half a page"


def test_targets_of_make_exist() -> None:
    """Documents, hosted CI and .ci/run name only targets that the Makefile has."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    texts = [*steps, (ROOT / ".ci" / "run").read_text("utf-8")]
    texts += [block for path in DOCUMENTS for block in CODE_BLOCK.findall(path.read_text("utf-8"))]
    named = {name for text in texts for name in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)}
    named |= set(workflow["jobs"]["dependencies"]["strategy"]["matrix"]["target"])

    assert {"demo", "test", "check", "test-lowest", "test-newest", "package"} <= named <= targets


def test_continuous_integration_ends_with_the_readmes_test_command() -> None:
    """`.ci/run` runs what the README tells people to run."""
    commands = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()

    assert [line for line in commands if line.startswith("make ")] == ["make check", "make test"]
    assert commands[-1] == "make test"
    assert "\nmake test " in (ROOT / "README.md").read_text("utf-8")


def test_points_a_and_b_are_named_once() -> None:
    """The guide's names stand only in the README's first paragraph and in the tutorial."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in DOCUMENTS}
    texts.pop("docs/tutorial.md", None)
    _title, first, *rest = texts.pop("README.md").split("\n\n")

    assert POINT.findall(first) == ["Point A", "Point B"]
    assert POINT.findall("".join(rest)) == []
    assert [name for name, text in texts.items() if POINT.search(text)] == []


def test_each_threat_has_a_test() -> None:
    """Every row of docs/security.md names an attacker, what they can do, what stops them, and tests that exist."""
    table = (ROOT / "docs/security.md").read_text("utf-8").partition("## Threats")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("| \n").split(" | ")] for line in table.splitlines() if "|" in line][
        2:
    ]

    assert len(rows) >= 15
    assert [row for row in rows if len(row) != 4 or not all(row)] == []
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[3])}
    assert {name for name in named if not (ROOT / "tests" / name).exists()} == set()
    assert [row for row in rows if not re.search(r"`[^`]+`", row[3])] == []
