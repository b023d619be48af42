"""Files that hold secrets by convention, recognised by their names."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator

_NAMES = {
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
    ".pgpass": "PostgreSQL passwords",
    ".my.cnf": "MySQL password",
    ".mylogin.cnf": "MySQL password",
    ".s3cfg": "S3 credentials",
    ".htpasswd": "password file",
    ".envrc": "environment file",
    "id_ecdsa_sk": "private SSH key",
    "id_ed25519_sk": "private SSH key",
    "credentials.json": "Google credentials",
    "client_secret.json": "Google credentials",
    "rclone.conf": "rclone credentials",
}
_PATHS = {
    ".aws/credentials": "AWS credentials",
    ".docker/config.json": "Docker login",
    ".kube/config": "Kubernetes credentials",
    ".config/gcloud/credentials.db": "Google credentials",
    ".azure/accessTokens.json": "Azure credentials",
    ".cache/huggingface/token": "Hugging Face token",
    ".jupyter/jupyter_server_config.json": "Jupyter password",
    ".streamlit/secrets.toml": "Streamlit secrets",
}
_PATTERNS = {".env.*": "environment file", "*.p12": "key store", "*.pfx": "key store", "*.jks": "key store",
    "*.ppk": "private key of PuTTY", "*.keystore": "key store", "*.kdbx": "password store", "*.agekey": "private key of age"}  # fmt: skip
_SUFFIXES = tuple(pattern[1:] for pattern in _PATTERNS if pattern.startswith("*"))
_MARKS = (*_NAMES, *_PATHS, ".env.", *_SUFFIXES)
"""The path of every such file contains one of these texts."""
_HARMLESS = (".example", ".sample", ".template", ".dist")


def kinds_by_name(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Path and kind of each file whose name says that it holds a secret."""
    return ((path, kind) for path in _candidates(paths) if (kind := secret_kind(path)))


def _candidates(paths: Iterable[str]) -> Iterator[str]:
    """The few paths that contain one of `_MARKS`: one search for each mark instead of one for each path."""
    text = "\0".join(["", *paths, ""])
    for mark in _MARKS:
        place = text.find(mark)
        while place >= 0:
            end = text.index("\0", place)
            yield text[text.rindex("\0", 0, place) + 1 : end]
            place = text.find(mark, end)


def secret_kind(path: str) -> str | None:
    """The kind of secret in a file with this path, in words; None if the path doesn't tell of any."""
    name = path.rpartition("/")[2]
    if name in _NAMES:
        return _NAMES[name]
    if kind := next((kind for place, kind in _PATHS.items() if f"/{path}".endswith(f"/{place}")), None):
        return kind
    if name.endswith(_HARMLESS):
        return None
    return next((kind for pattern, kind in _PATTERNS.items() if fnmatch.fnmatchcase(name, pattern)), None)
