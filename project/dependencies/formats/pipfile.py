"""Reads Pipfile.lock: https://pipenv.pypa.io/en/latest/pipfile.html."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from ....core.errors import DependencyError
from ....core.security.parsed_text import parse_json, parse_toml
from .requirements_txt import Line, Requirements, decoded, package_of

LOCK = "Pipfile.lock"
_DEFAULT_SOURCE = {"url": "https://pypi.org/simple", "verify_ssl": True, "name": "pypi"}


def read(root: Path, groups: Sequence[str]) -> Requirements | None:
    """Reads the lock's default packages and those of the groups ("develop", or a category); None without a lock.

    Raises:
        DependencyError: The lock can't be read or is older than its Pipfile, or has no such group.
    """
    path = root / LOCK
    if not path.is_file():
        return None
    text = decoded(path, LOCK)
    try:
        lock: dict[str, Any] = parse_json(text)
    except json.JSONDecodeError as error:
        raise DependencyError(f"not valid JSON: {error}", where=path, next_step="Run pipenv lock") from error
    _require_fresh(root, lock)
    lines: list[Line] = []
    hashes: dict[str, frozenset[str]] = {}
    for group in ("default", *("develop" if name in {"dev", "dev-packages"} else name for name in groups)):
        if group not in lock:
            there = ", ".join(name for name in lock if name != "_meta")
            raise DependencyError(
                f"there is no group {group} in {LOCK}: it has {there}",
                where=path,
                next_step="Fix groups under [tool.vertex-training]",
            )
        for name, package in lock[group].items():
            at = max(text.find(f'"{name}"'), 0)
            lines.append(Line(LOCK, text[:at].count("\n") + 1, _requirement(name, package), package_of(name)))
            if found := package.get("hashes"):
                hashes[canonicalize_name(name)] = frozenset(item.removeprefix("sha256:") for item in found)
    sources = [source["url"] for source in lock.get("_meta", {}).get("sources", [])]
    options = [f"--extra-index-url {url}" for url in sources if "//pypi.org/" not in url and "${" not in url]
    return Requirements(LOCK, tuple(lines), tuple(options), hashes)


def _requirement(name: str, package: dict[str, Any]) -> str:
    extras = f"[{','.join(package['extras'])}]" if package.get("extras") else ""
    marker = f" ; {package['markers']}" if package.get("markers") else ""
    if url := package.get("git"):
        inside = f"#subdirectory={package['subdirectory']}" if package.get("subdirectory") else ""
        return f"{name}{extras} @ git+{url}@{package.get('ref', '')}{inside}{marker}"
    if place := package.get("path") or package.get("file"):
        return f"{name}{extras} @ {place if '://' in place else f'file:{place}'}{marker}"
    return f"{name}{extras}{package.get('version', '')}{marker}"


def _require_fresh(root: Path, lock: dict[str, Any]) -> None:
    """Compares the lock's hash with that of the Pipfile beside it, as `pipenv verify` does."""
    path = root / "Pipfile"
    wanted = lock.get("_meta", {}).get("hash", {}).get("sha256")
    if not path.is_file() or not wanted:
        return
    try:
        document = parse_toml(decoded(path, path.name))
    except tomllib.TOMLDecodeError as error:
        raise DependencyError(f"not valid TOML: {error}", where=path, next_step="Fix that line") from error
    if wanted not in _hashes(document):
        raise DependencyError(f"{LOCK} is older than Pipfile", where=root / LOCK, next_step="Run pipenv lock")


def _hashes(document: dict[str, Any]) -> set[str]:
    """The hashes that pipenv's releases give a Pipfile: with its sources, or with the default one if it names none."""
    found = set()
    for sources in (document.get("source", []), [_DEFAULT_SOURCE]):
        data: dict[str, Any] = {
            "_meta": {"sources": sources, "requires": document.get("requires", {})},
            "default": document.get("packages", {}),
            "develop": document.get("dev-packages", {}),
        }
        known = {"source", "requires", "packages", "dev-packages", "pipenv", "scripts"}
        categories = {name: table for name, table in document.items() if name not in known}
        for content in (data, {**data, **categories}):
            text = json.dumps(content, sort_keys=True, separators=(",", ":"))
            found.add(hashlib.sha256(text.encode()).hexdigest())
    return found
