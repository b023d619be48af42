"""Whether a project is ready: what the findings say together."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.errors import VertexError
from .check_result import Finding


def require_ready(findings: Sequence[Finding], project: str) -> None:
    """Refuses to go on if a check failed; what is unknown never stops a run.

    Raises:
        VertexError: Names the first failure and its fix; all others are in the detail.
    """
    wrong = [finding for finding in findings if finding.status == "FAIL"]
    if not wrong:
        return
    first, *others = wrong
    more = f"; {len(others)} more check{'s' if len(others) > 1 else ''} failed" if others else ""
    raise VertexError(
        f"{first.check}: {first.what}{more}",
        where=f"project {project}",
        next_step=f'{first.fix}; preflight = "warn" under [tool.vertex-training] goes on all the same',
        detail="\n".join(str(finding) for finding in others),
        kind="permission",
    )


def summary(findings: Sequence[Finding]) -> str:
    """For example "14 checks passed, 1 failed, 2 unknown"."""
    counts = {status: sum(finding.status == status for finding in findings) for status in ("PASS", "FAIL", "UNKNOWN")}
    words = ("passed", "failed", "unknown")
    parts = [f"{count} {word}" for word, count in zip(words, counts.values(), strict=True) if count or word == "passed"]
    return f"preflight: {', '.join(parts)}"


def as_table(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """The findings as rows, those that need somebody first."""
    order = ("FAIL", "UNKNOWN", "PASS")
    rows = sorted(findings, key=lambda finding: order.index(finding.status))
    return [{"check": row.check, "status": row.status, "what": row.what, "fix": row.fix} for row in rows]
