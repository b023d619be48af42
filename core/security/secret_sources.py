"""Where the value of a secret comes from, as `secret-env` and `build-secrets` under [tool.vertex-training] name it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["block", "secret-manager", "env", "file"]

JOB_KINDS: tuple[Kind, ...] = ("block", "secret-manager", "env")
BUILD_KINDS: tuple[Kind, ...] = ("block", "env", "file")
FORMS = '"block:NAME", "secret-manager:projects/P/secrets/S/versions/latest" or "env:NAME"'
BUILD_FORMS = '"block:NAME", "env:NAME" or "file:PATH"'

_PATTERNS: dict[Kind, re.Pattern[str]] = {
    "block": re.compile(r"[a-z0-9][a-z0-9-]*"),
    # https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
    "secret-manager": re.compile(
        r"projects/[a-z0-9:.-]+(?:/locations/[a-z0-9-]+)?/secrets/[A-Za-z0-9_-]{1,255}(?:/versions/[A-Za-z0-9_-]+)?"
    ),
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
    "file": re.compile(r"[^\0\n]+"),
}


@dataclass(frozen=True, slots=True)
class SecretSource:
    """One source of a value.

    Attributes:
        kind: A saved Secret block of Prefect; a version in Google's Secret Manager, which the job itself reads; or a
            variable or a file of the machine that executes the run.
        name: The block's name, the version's resource name, the variable's, or the file's path.
    """

    kind: Kind
    name: str

    @classmethod
    def parse(cls, text: str, kinds: Sequence[Kind] = JOB_KINDS) -> SecretSource:
        """Reads a source as it is written in settings; the newest version is meant where none is named.

        Args:
            text: The source.
            kinds: Those that are possible here.

        Raises:
            ValueError: It has none of the forms. A value in its place is not repeated.
        """
        for kind in kinds:
            name = text.removeprefix(f"{kind}:")
            if name != text and _PATTERNS[kind].fullmatch(name):
                newest = "/versions/latest" if kind == "secret-manager" and "/versions/" not in name else ""
                return cls(kind, name + newest)
        raise ValueError(f"a source of a secret is {FORMS if kinds == JOB_KINDS else BUILD_FORMS}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"
