"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["PASS", "FAIL", "UNKNOWN"]
"""UNKNOWN: the call was not made, or was forbidden. It never stops a run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: What was looked at, in a few words: "service aiplatform.googleapis.com".
        status: Whether it is as it has to be.
        what: What was found, with who is concerned.
        fix: The one command, or the one step, that puts it right; empty for PASS.
    """

    check: str
    status: Status
    what: str
    fix: str = ""

    def __str__(self) -> str:
        """One line; a second one with the fix."""
        line = f"{self.status:<8}{self.check}: {self.what}"
        return f"{line}\n        fix: {self.fix}" if self.fix else line
