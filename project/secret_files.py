"""Stops obvious secrets on their way into an image: key files by name, and keys by what they hold."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathspec import GitIgnoreSpec

from ..core.errors import ProjectError
from .settings import Settings

if TYPE_CHECKING:
    from .files import ProjectFile

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
}
_PATTERNS = {".env.*": "environment file", "*.p12": "key store", "*.pfx": "key store", "*.jks": "key store"}
_PATTERN = re.compile("|".join(fnmatch.translate(pattern) for pattern in _PATTERNS))
_HARMLESS = (".example", ".sample", ".template", ".dist")
_KEY_SUFFIXES = (".pem", ".key")
_JSON_SIZES = range(100, 16_384)
"""Bytes. Google's credential files have 300 to 2,500; a data set's JSON files would take seconds to read."""


def refuse_secrets(files: Sequence[ProjectFile], settings: Settings) -> None:
    """Raises where a file looks like a secret and `allow_secrets` doesn't name it; never shows the secret.

    Raises:
        ProjectError: Names the first such file and its kind; all of them are in its `detail`.
    """
    allowed = GitIgnoreSpec.from_lines(settings.allow_secrets)
    suspects = ((file.path, secret_kind(file)) for file in files)
    found = [(path, kind) for path, kind in suspects if kind and not allowed.match_file(path)]
    if not found:
        return
    path, kind = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    raise ProjectError(
        f"{path} looks like a secret ({kind}){more} and would be baked into the image",
        where=settings.root,
        next_step=f'Add it to .gitignore, or to allow-secrets under [tool.vertex-training]: ["/{path}"]',
        detail="\n".join(f"{path}: {kind}" for path, kind in found),
    )


def secret_kind(file: ProjectFile) -> str | None:
    """What kind of secret `file` seems to be, in words; None for none."""
    name = file.path.rpartition("/")[2]
    if name in _NAMED:
        return _NAMED[name]
    if name.endswith(".json"):
        return _google_credentials(file.source) if file.size in _JSON_SIZES else None
    if name.endswith(_KEY_SUFFIXES):
        return "private key" if b"PRIVATE KEY-----" in _head(file.source) else None
    if _PATTERN.fullmatch(name) and not name.endswith(_HARMLESS):
        return next(kind for pattern, kind in _PATTERNS.items() if fnmatch.fnmatchcase(name, pattern))
    return None


def _google_credentials(source: Path) -> str | None:
    """Tells a service account's key and a user's refresh token by their fields; https://google.aip.dev/auth/4112."""
    head = _head(source)
    if b"private_key" not in head and b"refresh_token" not in head:
        return None
    try:
        value: Any = json.loads(head)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    if value.get("type") == "service_account" and "private_key" in value:
        return "service account key"
    if value.get("type") == "authorized_user" and "refresh_token" in value:
        return "Google user credentials"
    return None


def _head(source: Path) -> bytes:
    try:
        with source.open("rb", buffering=0) as file:
            return file.read(_JSON_SIZES.stop)
    except OSError as error:
        raise ProjectError(
            f"can't read a file: {error.strerror}",
            where=source,
            next_step="Make it readable, or add it to exclude under [tool.vertex-training]",
        ) from error
