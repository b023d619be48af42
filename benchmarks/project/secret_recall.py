"""How many kinds of secrets the scanner finds: our own, and those of two published rule sets that it doesn't use.

    git clone --depth 1 https://github.com/trufflesecurity/trufflehog
    python benchmarks/project/secret_recall.py [trufflehog] [--missed]

Own kinds are those of the test suite. Of https://github.com/praetorian-inc/noseyparker the first example of each rule
is taken, in the surroundings of tests/fixtures/projects/surroundings.py. Of trufflehog the first text of each
detector's own test is taken as it is, in which many name the service alone (`kanban '11XQ98FVS8WI'`), so a second row
counts those whose line has a telling word beside the secret: key, token, secret, password and the like. Then its values
are put where projects keep them, such as `KANBAN_API_KEY=...` in an .env file.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from fixtures.projects.planted import LINES  # noqa: E402
from fixtures.projects.planted_kinds import KINDS  # noqa: E402
from fixtures.projects.surroundings import AROUND_A_TEXT, AROUND_A_VALUE  # noqa: E402
from prefect_vertex_training.project.secrets.scan import SecretScan  # noqa: E402
from prefect_vertex_training.project.secrets.search import SecretSearch  # noqa: E402

TEXT = r'(?:`[^`]*`|"(?:[^"\\\n]|\\.)*")'
TELLING = re.compile(r"(?i)key|token|secret|passw|pwd|auth|bearer|cred|_pat|://")


SEARCH = SecretSearch()


class Kind(NamedTuple):
    """A detector's test: its name, the text, and the secrets in it."""

    name: str
    text: str
    secrets: list[str]


def kinds(folder: Path) -> Iterator[Kind]:
    """The first test of each detector in which something must be found."""
    for path in sorted((folder / "pkg" / "detectors").rglob("*_test.go")):
        if "integration" in path.name:
            continue
        source = path.read_text(encoding="utf-8", errors="replace")
        constants = {
            found[1]: literal(found[2])
            for found in re.finditer(rf"^\s*(?:var\s+|const\s+)?(\w+)\s*:?=\s*({TEXT})\s*$", source, re.MULTILINE)
        }
        for found in re.finditer(rf"name:\s*({TEXT}),\s*input:\s*(.*?),\s*want:\s*(.*?)\n", source, re.DOTALL):
            wanted = found[3]
            text = None if "invalid" in found[1] or wanted.startswith("nil") else value(found[2], constants)
            if text:
                secrets = [literal(part) for part in re.findall(TEXT, wanted)]
                secrets += [constants[name] for name in re.findall(r"\w+", wanted) if name in constants]
                yield Kind(str(path.parent.relative_to(folder / "pkg" / "detectors")), text, secrets)
                break


def literal(text: str) -> str:
    """The value of a Go literal."""
    if text.startswith("`"):
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text[1:-1]


def value(expression: str, constants: dict[str, str]) -> str | None:
    """The value of a literal, a constant or a call of fmt.Sprintf; None for anything else."""
    expression = expression.strip().rstrip(",").strip()
    if re.fullmatch(TEXT, expression):
        return literal(expression)
    if expression in constants:
        return constants[expression]
    call = re.fullmatch(rf"fmt\.Sprintf\(({TEXT})\s*,(.*)\)", expression, re.DOTALL)
    if call is None:
        return None
    text = literal(call[1])
    for argument in re.split(r""",(?=(?:[^"`]*["`][^"`]*["`])*[^"`]*$)""", call[2]):
        filled = value(argument, constants)
        if filled is None:
            return None
        text = re.sub(r"%[svdq+]+", lambda _, filled=filled: filled, text, count=1)
    return text


def lines_found(text: str) -> set[int]:
    """The lines in which the scanner finds a secret."""
    scan = SecretScan(SEARCH)
    scan.feed(text.encode(), last=True)
    return {finding.line for finding in scan.findings}


def in_its_test(kind: Kind) -> tuple[bool, bool]:
    """Whether the line of a detector's secret is found in its test, and whether a telling word stands beside it."""
    lines = kind.text.split("\n")
    held = {number for number, line in enumerate(lines, 1) if any(part and part[:40] in line for part in kind.secrets)}
    beside = " ".join(lines[number - 1] for number in held)
    for secret in kind.secrets:
        beside = beside.replace(secret, "")
    found = lines_found(kind.text)
    return bool(found & held if held else found), TELLING.search(beside) is not None


def own_value(kind: Kind) -> str:
    """The secret of a detector's test, where it is one word of its text; empty for pairs and for shorter ids."""
    return max(
        (part for part in kind.secrets if part in kind.text and re.fullmatch(r"\S{8,}", part)), key=len, default=""
    )


class Table:
    """Rows of names, numbers found and numbers of all; `missed` prints what isn't found."""

    def __init__(self, *, missed: bool) -> None:
        self._missed = missed
        self.total = [0, 0]

    def add(self, corpus: str, results: Iterable[tuple[str, bool]], *, counts: bool = True) -> None:
        """Prints a row; those that count are summed up."""
        rows = list(results)
        found = sum(hit for _, hit in rows)
        print(f"{corpus:44} {found:6} of {len(rows):6} {found / len(rows):7.1%}")
        if counts:
            self.total = [self.total[0] + found, self.total[1] + len(rows)]
        if self._missed:
            print(*(f"    {name}" for name, hit in rows if not hit), sep="\n")


def published(table: Table, clone: Path) -> None:
    """Adds the rows of trufflehog's detectors."""
    detectors = list(kinds(clone))
    tested = [(kind.name, *in_its_test(kind)) for kind in detectors]
    table.add("trufflehog, texts of its tests", ((name, hit) for name, hit, _ in tested), counts=False)
    table.add("  of these beside a telling word", ((name, hit) for name, hit, told in tested if told), counts=False)
    values = [(kind.name, re.sub(r"\W", "_", kind.name.split("/")[0]), own_value(kind)) for kind in detectors]
    for place, form in AROUND_A_VALUE.items():
        table.add(
            f"trufflehog, its values in {place}",
            (
                (full, bool(lines_found(form.format(name=name, upper=name.upper(), value=secret))))
                for full, name, secret in values
                if secret
            ),
        )


def main() -> int:
    """Prints how many kinds are found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, nargs="?", help="a checkout of trufflehog")
    parser.add_argument("--missed", action="store_true", help="name what isn't found")
    options = parser.parse_args()
    table = Table(missed=options.missed)
    own = {**KINDS, **{name: text for name, (_, text) in LINES.items()}}
    examples = json.loads((TESTS / "project/secrets/noseyparker/examples.json").read_text())
    table.add("own kinds", ((name, bool(lines_found(text))) for name, text in own.items()))
    for place, change in AROUND_A_TEXT.items():
        texts = ((name, change(base64.b64decode(text).decode())) for name, text in examples.items())
        table.add(f"Nosey Parker, {place}", ((name, bool(lines_found(text))) for name, text in texts))
    if options.clone:
        published(table, options.clone)
    print(
        f"{'all of them in their surroundings':44} {table.total[0]:6} of {table.total[1]:6}"
        f" {table.total[0] / table.total[1]:7.1%}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
