"""One project of the corpus, and the outcome that its expected.toml describes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PROJECTS = FOLDER / "projects"
EXPECTED = "expected.toml"
NOT_YET = FOLDER / "not_yet.toml"

_KEYS = {
    "": {"description", "args", "folder", "end-to-end", "setup", "stop", "verify", "freeze", "image", "job", "model",
         "output"},
    "setup": {"index", "sdists", "cpu", "cpu-folder", "installed", "venv", "run", "folders", "links", "old", "git",
              "backend", "builds", "variables", "constraints", "made", "after"},
    "stop": {"at", "message", "not", "once"},
    "verify": {"prints", "model", "command", "off", "ends"},
    "freeze": {"versions", "method"},
    "image": {"builder", "entry", "files", "absent", "folders", "oldest"},
    "job": {"args", "env", "runs", "fails"},
    "output": {"shown", "hidden"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A project and its expected outcome.

    Attributes:
        name: `FAMILY/NAME`, its folder below projects/.
        source: That folder.
        expected: The tables of its expected.toml; README.md describes them.
    """

    name: str
    source: Path
    expected: Mapping[str, Any]

    @property
    def family(self) -> str:
        """The group of faults that it belongs to."""
        return self.name.partition("/")[0]

    @property
    def args(self) -> list[str]:
        """The run's arguments, as given after `--`."""
        return list(self.expected.get("args", ()))

    @property
    def end_to_end(self) -> bool:
        """Whether the test suite trains it, in addition to verify, freeze and image plan."""
        return bool(self.expected.get("end-to-end"))

    def table(self, name: str) -> Mapping[str, Any]:
        """A table of expected.toml; empty without one."""
        return self.expected.get(name, {})


def cases() -> list[Case]:
    """All projects of the corpus, sorted by name."""
    return [load(file.parent) for file in sorted(PROJECTS.glob(f"*/*/{EXPECTED}"))]


def load(source: Path) -> Case:
    """Reads the project in `source`.

    Raises:
        ValueError: Its expected.toml has a key that nothing checks.
    """
    expected = tomllib.loads((source / EXPECTED).read_text(encoding="utf-8"))
    for table, keys in _KEYS.items():
        values = expected.get(table, {}) if table else expected
        if unknown := set(values) - keys:
            raise ValueError(f"{source / EXPECTED}: unknown {', '.join(sorted(unknown))} in [{table}]")
    return Case(source.relative_to(PROJECTS).as_posix(), source, expected)


def not_yet() -> dict[str, str]:
    """Projects whose feature is missing: name to reason."""
    families: dict[str, dict[str, str]] = tomllib.loads(NOT_YET.read_text(encoding="utf-8"))
    return {f"{family}/{name}": reason for family, names in families.items() for name, reason in names.items()}
