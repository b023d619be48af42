"""How many kinds of secrets the scanner finds among the test values of another scanner's detectors.

    git clone --depth 1 https://github.com/trufflesecurity/trufflehog
    python benchmarks/project/published_tests.py trufflehog [--missed]

Each detector's own test has a text in which it must find a secret. A kind counts as found when the scanner reports the
line of that secret. Many of those texts name the service alone (`kanban '11XQ98FVS8WI'`), so a second figure counts the
kinds whose line has a telling word beside the secret: key, token, secret, password and the like.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prefect_vertex_training.project.secrets.scan import SecretScan
from prefect_vertex_training.project.secrets.search import SecretSearch

TEXT = r'(?:`[^`]*`|"(?:[^"\\\n]|\\.)*")'
TELLING = re.compile(r"(?i)key|token|secret|passw|pwd|auth|bearer|cred|_pat|://")


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


def main() -> int:
    """Prints how many kinds are found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="a checkout of trufflehog")
    parser.add_argument("--missed", action="store_true", help="name what isn't found")
    options = parser.parse_args()
    search = SecretSearch()
    found, of_telling = [0, 0], [0, 0]
    for kind in kinds(options.clone):
        scan = SecretScan(search)
        scan.feed(kind.text.encode(), last=True)
        lines = kind.text.split("\n")
        held = {
            number for number, line in enumerate(lines, 1) if any(part and part[:40] in line for part in kind.secrets)
        }
        hit = any(finding.line in held for finding in scan.findings) if held else bool(scan.findings)
        found[hit] += 1
        beside = " ".join(lines[number - 1] for number in held)
        for secret in kind.secrets:
            beside = beside.replace(secret, "")
        of_telling[hit] += bool(TELLING.search(beside))
        if options.missed and not hit:
            print(kind.name, *kind.secrets[:1])
    for name, (missed, hits) in {"all kinds": found, "beside a telling word": of_telling}.items():
        print(f"{name}: {hits} of {missed + hits} found, {hits / (missed + hits):.1%}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
