"""Reads pdm.lock: the dependencies in pyproject.toml, limited to the versions in the lock.

https://pdm-project.org/latest/usage/lockfile/
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from ....core.errors import DependencyError
from ....core.security.parsed_text import parse_toml
from ...settings.settings import Settings
from . import pyproject
from .freshness import require_satisfied
from .requirements_txt import Line, Requirements, decoded, package_of

LOCK = "pdm.lock"


def read(root: Path, settings: Settings) -> Requirements | None:
    """Reads the lock and the pyproject.toml beside it; None without a lock.

    Raises:
        DependencyError: One of them can't be read, or the lock is older than pyproject.toml.
    """
    path = root / LOCK
    if not path.is_file():
        return None
    text = decoded(path, LOCK)
    try:
        lock = parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise DependencyError(f"not valid TOML: {error}", where=path, next_step="Run pdm lock") from error
    listed = pyproject.read(root, settings)
    if listed is None:
        raise DependencyError(f"{LOCK} has no pyproject.toml beside it", where=root, next_step="Put it there")
    packages: list[dict[str, Any]] = lock.get("package", [])
    _require_fresh(root, lock, listed, packages)
    pins = [line for package in packages if (line := _pin(text, package))]
    hashes = {canonicalize_name(package["name"]): _hashes(package) for package in packages if package.get("files")}
    return replace(listed, method=LOCK, lines=(*listed.lines, *pins), hashes=hashes)


def _pin(text: str, package: dict[str, Any]) -> Line | None:
    if any(key in package for key in ("git", "path", "url", "editable")) or package.get("extras"):
        return None
    at = max(text.find(f'name = "{package["name"]}"'), 0)
    pin = f"{package['name']}=={package['version']}"
    return Line(LOCK, text[:at].count("\n") + 1, pin, package_of(package["name"]), constraint=True)


def _hashes(package: dict[str, Any]) -> frozenset[str]:
    return frozenset(str(file["hash"]).removeprefix("sha256:") for file in package["files"] if "hash" in file)


def _require_fresh(root: Path, lock: dict[str, Any], listed: Requirements, packages: list[dict[str, Any]]) -> None:
    wanted = str(lock.get("metadata", {}).get("content_hash", "")).removeprefix("sha256:")
    if wanted and wanted not in _content_hashes(pyproject.document(root)):
        raise DependencyError(f"{LOCK} is older than pyproject.toml", where=root / LOCK, next_step="Run pdm lock")
    versions: dict[str, str] = {canonicalize_name(package["name"]): package["version"] for package in packages}
    require_satisfied(root / LOCK, [line.text for line in listed.lines], versions, "Run pdm lock")


def _content_hashes(document: dict[str, Any]) -> set[str]:
    """The hashes that pdm's releases give a pyproject.toml."""
    project, settings = document.get("project", {}), document.get("tool", {}).get("pdm", {})
    common = {
        "sources": settings.get("source", []),
        "dependencies": project.get("dependencies", []),
        "optional-dependencies": project.get("optional-dependencies", {}),
        "requires-python": project.get("requires-python", ""),
    }
    development = settings.get("dev-dependencies", {})
    merged = {canonicalize_name(name): list(items) for name, items in document.get("dependency-groups", {}).items()}
    for name, items in development.items():
        merged.setdefault(canonicalize_name(name), []).extend(items)
    resolution = settings.get("resolution", {})
    variants: list[dict[str, Any]] = [
        {**common, "dev-dependencies": groups, **rules}
        for groups in (development, merged)
        for rules in (
            {"resolution": resolution},
            {"overrides": settings.get("overrides") or resolution.get("overrides", {})},
        )
    ]
    texts = (json.dumps(variant, sort_keys=True) for variant in variants)
    return {hashlib.sha256(text.encode()).hexdigest() for text in texts}
