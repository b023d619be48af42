"""Keeps secrets out of images: stops a run if a file's name or content shows a key, token or password."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from ..core.errors import ProjectError
from ..core.gitignore import GitIgnore
from .files.contents import read_contents
from .files.project_file import ProjectFile, project_file
from .secrets.file_names import kinds_by_name
from .secrets.finding import Finding
from .settings.settings import Settings

_ENTRY = re.compile(r"(.+)#([0-9a-f]{12})")
"""An entry of `allow-secrets` for a single finding; any other entry is a pattern."""

_TEXTS = frozenset((".env", ".txt", ".json", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".py", ".sh", ".ipynb"))
_LARGEST_TEXT = 64 << 10
_MOST_TEXTS = 2000
"""Small files of text that are looked into; a data set may have a hundred thousand annotations."""


class _Located(NamedTuple):
    """A finding with its file."""

    path: str
    finding: Finding

    @property
    def entry(self) -> str:
        """The entry of `allow-secrets` that allows this finding alone; empty if only the whole file can be allowed."""
        return f"{self.path}#{self.finding.id}" if self.finding.id else ""

    @property
    def place(self) -> str:
        return f"{self.path}:{self.finding.line}" if self.finding.line else self.path

    def __str__(self) -> str:
        return f"{self.place}: {self.finding.kind}" + (f" ({self.entry})" if self.entry else "")


def refuse_secrets_in(names: Sequence[str], settings: Settings, *, cache: Path) -> None:
    """Looks for secrets in the build context of the project's own Dockerfile, for which only .dockerignore counts.

    Args:
        names: The files, folders and links in the context, relative to the project.
        settings: The project's settings.
        cache: Folder that keeps the results for unchanged files.

    Raises:
        ProjectError: As `refuse_secrets`.
    """
    located = [(name, f"{settings.root}/{name}") for name in names]
    listed = [(name, location, os.lstat(location)) for name, location in located]
    files = [project_file(name, location, status) for name, location, status in listed if S_ISREG(status.st_mode)]
    # The context is another list of files than that of direct builds, so it gets a cache file of its own.
    contents = read_contents(files, settings.root / "Dockerfile", cache=cache)
    refuse_secrets(files, contents.findings, settings, ignore_file=".dockerignore")


def refuse_secrets_in_data(
    paths: Mapping[str, str], new: Mapping[str, str], settings: Settings, *, cache: Path
) -> None:
    """Looks for secrets in a data set: at the names of all files, and into new small files of text.

    Args:
        paths: Where each file lies, by its path in the project.
        new: The same of those that are not in the bucket yet.
        settings: The project's settings.
        cache: Folder that keeps the results for unchanged files.

    Raises:
        ProjectError: As `refuse_secrets`.
    """
    named = [path for path, _ in kinds_by_name(list(paths))]
    texts = [path for path in new if os.path.splitext(path)[1].lower() in _TEXTS][:_MOST_TEXTS]  # noqa: PTH122 - many
    statuses = {path: os.lstat(paths[path]) for path in {*named, *texts}}
    files = [
        project_file(path, paths[path], status)
        for path, status in sorted(statuses.items())
        if path in named or (S_ISREG(status.st_mode) and status.st_size <= _LARGEST_TEXT)
    ]
    scanned = [file for file in files if file.path in set(texts)]
    findings = read_contents(scanned, settings.root / "data sets", cache=cache).findings if scanned else {}
    refuse_secrets(files, findings, settings, ignore_file="", fate="be sent to the bucket")


def refuse_secrets(
    files: Sequence[ProjectFile],
    findings: Mapping[str, Sequence[Finding]],
    settings: Settings,
    *,
    ignore_file: str = ".gitignore",
    fate: str = "be baked into the image",
) -> None:
    """Raises an error if a file looks like a secret or holds one, unless `allow_secrets` names it.

    Args:
        files: The files that go into the image.
        findings: What `read_contents` found in them.
        settings: The project's settings; `allow_secrets` has patterns of files, and `path#id` for single findings.
        ignore_file: The file in which a user can exclude a file from the image; empty for data.
        fate: What would become of the secret.

    Raises:
        ProjectError: It names file, line and kind of the first finding, and all findings in its `detail`; never the
            secret itself.
    """
    named = {path: [Finding(0, kind, "")] for path, kind in kinds_by_name([file.path for file in files])}
    if not named and not findings:
        return
    found = [
        _Located(path, finding)
        for path in sorted({*named, *findings})
        for finding in [*named.get(path, ()), *findings.get(path, ())]
    ]
    if refused := list(_not_allowed(found, settings.allow_secrets)):
        raise _error(refused, settings, ignore_file, fate)


def entry_allows(finding: str, allow_secrets: Sequence[str]) -> bool:
    """Whether an entry for a single finding, in whatever place, allows the finding with this id."""
    return any((entry := _ENTRY.fullmatch(text)) and entry[2] == finding for text in allow_secrets)


def _not_allowed(found: Iterable[_Located], allow_secrets: Sequence[str]) -> Iterator[_Located]:
    entries = {entry for entry in allow_secrets if _ENTRY.fullmatch(entry)}
    patterns = GitIgnore(entry for entry in allow_secrets if entry not in entries)
    # The same value is found as an argument or variable, too, and needs one entry only.
    given = [entry for entry in entries if entry.partition("#")[0] in {"args", "env", "verify-args", "build-args"}]
    return (
        item
        for item in found
        if item.entry not in entries
        and not (item.path == "pyproject.toml" and entry_allows(item.finding.id, given))
        and not patterns.covers(item.path)
    )


def _error(refused: Sequence[_Located], settings: Settings, ignore_file: str, fate: str) -> ProjectError:
    first = refused[0]
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    if not ignore_file:
        remedy = "Take it out of the data, or name the files that belong to it: include"
    elif first.entry:
        remedy = f"Take it out of the file, or add the file to {ignore_file}"
    else:
        remedy = f"Add it to {ignore_file}"
    return ProjectError(
        f"{first.place} looks like a secret ({first.finding.kind}){more} and would {fate}",
        where=settings.root,
        next_step=f'{remedy}; if it is none, set allow-secrets = ["{first.entry or f"/{first.path}"}"]'
        " under [tool.vertex-training]",
        detail="\n".join(map(str, refused)),
    )
