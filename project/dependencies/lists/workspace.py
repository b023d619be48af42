"""uv's workspaces, and the places that pyproject.toml's `tool.uv.sources` gives packages.

https://docs.astral.sh/uv/concepts/projects/workspaces/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..formats.pyproject import document
from ..formats.requirements_txt import Line, Requirements


@dataclass(frozen=True, slots=True)
class Workspace:
    """A uv workspace.

    Attributes:
        root: The folder whose pyproject.toml lists the members.
        members: Folders of the packages, the root's own included, by canonical name.
    """

    root: Path
    members: Mapping[str, Path]

    def member_of(self, path: Path) -> str | None:
        """The name of the innermost member that contains `path`; None if none does."""
        around = [name for name, folder in self.members.items() if path.is_relative_to(folder)]
        return max(around, key=lambda name: len(self.members[name].parts), default=None)


def find(root: Path) -> Workspace | None:
    """The workspace whose root or member is the folder `root`; None if there is none."""
    for folder in (root, *root.parents):
        if not (folder / "pyproject.toml").is_file():
            continue
        found = document(folder)
        patterns = found.get("tool", {}).get("uv", {}).get("workspace")
        if patterns is None:
            continue
        workspace = Workspace(folder, _members(folder, patterns))
        return workspace if root == folder or root in workspace.members.values() else None
    return None


def _members(root: Path, table: Mapping[str, Any]) -> dict[str, Path]:
    left_out = {folder for pattern in table.get("exclude", ()) for folder in root.glob(pattern)}
    folders = [root, *(folder for pattern in table.get("members", ()) for folder in sorted(root.glob(pattern)))]
    names = ((document(folder).get("project", {}).get("name"), folder) for folder in folders if folder not in left_out)
    return {canonicalize_name(name): folder for name, folder in names if isinstance(name, str)}


def with_sources(root: Path, listed: Requirements) -> Requirements:
    """The list with the folders and repositories that `tool.uv.sources` names in place of releases."""
    sources: dict[str, Any] = document(root).get("tool", {}).get("uv", {}).get("sources", {})
    workspace = find(root)
    if workspace and workspace.root != root:
        sources = {**document(workspace.root).get("tool", {}).get("uv", {}).get("sources", {}), **sources}
    known: dict[str, object] = {canonicalize_name(name): source for name, source in sources.items()}
    lines = tuple(_with_source(root, line, known.get(line.name or ""), workspace) for line in listed.lines)
    return replace(listed, lines=lines)


def _with_source(root: Path, line: Line, source: object, workspace: Workspace | None) -> Line:
    if not isinstance(source, dict):
        return line
    place = _place(root, line.name or "", source, workspace)
    try:
        wanted = Requirement(line.text)
    except InvalidRequirement:
        return line
    if place is None or wanted.url:
        return line
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    marker = f" ; {wanted.marker}" if wanted.marker else ""
    return replace(line, text=f"{wanted.name}{extras} @ {place}{marker}")


def _place(root: Path, name: str, source: Mapping[str, Any], workspace: Workspace | None) -> str | None:
    if source.get("workspace") and workspace and name in workspace.members:
        return workspace.members[name].as_uri()
    if path := source.get("path"):
        return (root / path).resolve().as_uri()
    if git := source.get("git"):
        ref = next((f"@{source[key]}" for key in ("rev", "tag", "branch") if source.get(key)), "")
        return f"git+{git}{ref}" + (f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else "")
    return source.get("url")
