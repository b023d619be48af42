"""Stops secrets on their way into an image: key files by name, keys and tokens by what a file holds."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG

from pathspec import GitIgnoreSpec

from ..core.errors import ProjectError
from .files.contents import read_contents
from .files.project_file import ProjectFile, project_file
from .secrets.scan import Finding
from .settings.settings import Settings

_NAMED = {
    ".env": "environment file",
    ".netrc": "password file",
    "_netrc": "password file",
    ".pypirc": "package index password",
    ".git-credentials": "git password",
    "kaggle.json": "Kaggle key",
    "id_rsa": "private SSH key",
    "id_dsa": "private SSH key",
    "id_ecdsa": "private SSH key",
    "id_ed25519": "private SSH key",
    "application_default_credentials.json": "Google credentials",
    ".dockercfg": "Docker login",
    ".boto": "Google credentials",
}
_PLACED = {
    ".aws/credentials": "AWS credentials",
    ".docker/config.json": "Docker login",
    ".kube/config": "Kubernetes credentials",
    ".config/gcloud/credentials.db": "Google credentials",
}
_PATTERNS = {".env.*": "environment file", "*.p12": "key store", "*.pfx": "key store", "*.jks": "key store"}
_SUFFIXES = tuple(pattern[1:] for pattern in _PATTERNS if pattern.startswith("*"))
_MARKS = (*_NAMED, *_PLACED, ".env.", *_SUFFIXES)
"""A path of any of the kinds holds one of these."""
_HARMLESS = (".example", ".sample", ".template", ".dist")
_ENTRY = re.compile(r"(.+)#([0-9a-f]{12})")


def refuse_secrets_in(names: Sequence[str], settings: Settings, *, cache: Path) -> None:
    """Looks for secrets in the context of the project's own Dockerfile, where .dockerignore alone decides.

    Args:
        names: Of its files, folders and links, relative to the project.
        settings: The project's.
        cache: Folder for what is known of unchanged files.

    Raises:
        ProjectError: As `refuse_secrets`.
    """
    located = [(name, f"{settings.root}/{name}") for name in names]
    listed = [(name, location, os.lstat(location)) for name, location in located]
    files = [project_file(name, location, status) for name, location, status in listed if S_ISREG(status.st_mode)]
    # Another list of the same project than the one of direct builds: remembered apart.
    contents = read_contents(files, settings.root / "Dockerfile", cache=cache)
    refuse_secrets(files, contents.findings, settings, ignore_file=".dockerignore")


def refuse_secrets(
    files: Sequence[ProjectFile],
    findings: Mapping[str, Sequence[Finding]],
    settings: Settings,
    *,
    ignore_file: str = ".gitignore",
) -> None:
    """Raises where a file looks like a secret or holds one and `allow_secrets` doesn't name it; never shows the secret.

    Args:
        files: What goes into the image.
        findings: What `read_contents` found in them.
        settings: With the patterns of files that are allowed, and `path#id` for a single finding.
        ignore_file: Which one leaves a file out.

    Raises:
        ProjectError: Names the first finding's file, line and kind; all of them are in its `detail`.
    """
    paths = _suspects([file.path for file in files])
    named = {path: [Finding(0, kind, "")] for path in paths if (kind := secret_kind(path))}
    if not named and not findings:
        return
    entries = {entry for entry in settings.allow_secrets if _ENTRY.fullmatch(entry)}
    allowed = GitIgnoreSpec.from_lines(entry for entry in settings.allow_secrets if entry not in entries)
    found = [
        (path, finding)
        for path in sorted({*named, *findings})
        if not allowed.match_file(path)
        for finding in [*named.get(path, ()), *findings.get(path, ())]
        if f"{path}#{finding.id}" not in entries
    ]
    if not found:
        return
    path, finding = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    entry, remedy = (
        (f"{path}#{finding.id}", f"Take it out of the file, or add the file to {ignore_file}")
        if finding.id
        else (f"/{path}", f"Add it to {ignore_file}")
    )
    raise ProjectError(
        f"{_place(path, finding)} looks like a secret ({finding.kind}){more} and would be baked into the image",
        where=settings.root,
        next_step=f'{remedy}; if it is none, set allow-secrets = ["{entry}"] under [tool.vertex-training]',
        detail="\n".join(
            f"{_place(path, finding)}: {finding.kind}" + (f" ({path}#{finding.id})" if finding.id else "")
            for path, finding in found
        ),
    )


def _suspects(paths: Iterable[str]) -> Iterator[str]:
    """The few of `paths` that hold one of `_MARKS`: one search each over all of them, not one for each path."""
    text = "\0".join(["", *paths, ""])
    for mark in _MARKS:
        place = text.find(mark)
        while place >= 0:
            end = text.index("\0", place)
            yield text[text.rindex("\0", 0, place) + 1 : end]
            place = text.find(mark, end)


def secret_kind(path: str) -> str | None:
    """What kind of secret a file of this name is, in words; None for none."""
    name = path.rpartition("/")[2]
    if name in _NAMED:
        return _NAMED[name]
    for place, kind in _PLACED.items():
        if path.endswith(place) and f"/{path}".endswith(f"/{place}"):
            return kind
    if not name.startswith(".env.") and not name.endswith(_SUFFIXES):
        return None
    if name.endswith(_HARMLESS):
        return None
    return next((kind for pattern, kind in _PATTERNS.items() if fnmatch.fnmatchcase(name, pattern)), None)


def _place(path: str, finding: Finding) -> str:
    return f"{path}:{finding.line}" if finding.line else path
