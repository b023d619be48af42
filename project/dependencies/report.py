"""The dependency report: what was frozen from which list, and every line that was changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .translate import Entry

_TITLES = {
    "replaced": "Replaced",
    "built": "Built as wheels and shipped with the code",
    "dropped": "Left out",
    "added": "Added",
}


def markdown(method: str, packages: Sequence[tuple[str, str]], entries: Iterable[Entry], notes: Sequence[str]) -> str:
    """The report as Markdown."""
    changes = list(entries)
    lines = [f"From `{method}`: {len(packages)} packages, as wheels for linux/amd64.", ""]
    lines += [f"- {note}" for note in notes]
    for action, title in _TITLES.items():
        found = [entry for entry in changes if entry.action == action]
        if found:
            lines += ["", f"## {title}", "", "| line | place | now | why |", "|---|---|---|---|"]
            lines += [_row(entry) for entry in found]
    lines += ["", "## Frozen", "", "| package | version |", "|---|---|"]
    lines += [f"| {name} | {version} |" for name, version in packages]
    return "\n".join(lines) + "\n"


def _row(entry: Entry) -> str:
    cells = (f"`{entry.line}`", entry.place, f"`{entry.result}`" if entry.result else "", entry.reason)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
