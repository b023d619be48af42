"""Reads poetry.lock: the dependencies in pyproject.toml, limited to the versions in the lock.

The table: https://python-poetry.org/docs/pyproject/. The lock's format is defined by poetry/packages/locker.py.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ....core.errors import DependencyError
from ....core.security.parsed_text import parse_toml
from ...settings.settings import Settings
from . import poetry_versions, pyproject
from .freshness import require_satisfied
from .requirements_txt import Line, Requirements, decoded, package_of

Table = Mapping[str, Any]
_NEXT_STEP = "Run poetry lock"
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")


def read(root: Path, path: Path, settings: Settings) -> Requirements:
    """Reads the lock and the pyproject.toml beside it.

    The project's own dependencies become requirements and all versions in the lock become constraints. From these uv
    finds the same packages for Linux, so that groups and markers need no handling here.

    Raises:
        DependencyError: One of the two files can't be read, or the lock is out of date.
    """
    text = decoded(path, path.name)
    lock, project = _table(path, text), _table(root / "pyproject.toml")
    packages: list[dict[str, Any]] = lock.get("package", [])
    pinned = {package_of(package["name"]) or package["name"]: package for package in packages}
    twice = {name for name in pinned if sum(package_of(package["name"]) == name for package in packages) > 1}
    chosen = pyproject.extras_and_groups(root, settings)
    require_satisfied(path, _wanted(project, chosen), _versions(pinned, twice), _NEXT_STEP)
    _require_fresh(path, lock, project)
    lines = []
    bare = ((package_of(text) or text, re.split(r"\s*[<>=!~]", text, maxsplit=1)[0]) for text in chosen)
    for name, asked in (*_asked(project), *bare):
        package = pinned.get(name)
        place = _number(text, package["name"]) if package else 1
        lines.append(Line(path.name, place, _requirement(asked, name, package, root), name))
    for name, package in pinned.items():
        if name not in twice and package.get("source", {}).get("type", "legacy") == "legacy":
            pin = f"{name}=={package['version']}"
            lines.append(Line(path.name, _number(text, package["name"]), pin, name, constraint=True))
    notes = tuple(f"{name} is locked in several versions: the newest suitable one is used" for name in sorted(twice))
    hashes = {
        name: found for name, package in pinned.items() if name not in twice and (found := _hashes(package, lock))
    }
    return Requirements(path.name, tuple(lines), tuple(_indexes(packages)), hashes, notes=notes)


def _table(path: Path, text: str | None = None) -> dict[str, Any]:
    if text is None and not path.is_file():
        raise DependencyError(
            f"there is no {path.name} beside poetry.lock", where=path.parent, next_step="Put it there"
        )
    try:
        return parse_toml(decoded(path, path.name) if text is None else text)
    except tomllib.TOMLDecodeError as error:
        raise DependencyError(f"not valid TOML: {error}", where=path, next_step="Run poetry lock") from error


def _wanted(project: Table, chosen: list[str]) -> list[str]:
    """The direct dependencies with the versions that they allow."""
    listed = project.get("project", {}).get("dependencies")
    if listed is None:
        listed = poetry_versions.requirements(project.get("tool", {}).get("poetry", {}).get("dependencies", {}))
    return [*listed, *chosen]


def _versions(pinned: Mapping[str, Table], twice: set[str]) -> dict[str, str]:
    """The locked versions by name; empty texts, which any version satisfies, for those that are locked twice."""
    return {name: "" if name in twice else package["version"] for name, package in pinned.items()}


def _require_fresh(path: Path, lock: Table, project: Table) -> None:
    wanted = lock.get("metadata", {}).get("content-hash")
    if wanted and wanted not in _content_hashes(project):
        raise DependencyError("poetry.lock is older than pyproject.toml", where=path, next_step=_NEXT_STEP)


def _content_hashes(document: Table) -> set[str]:
    """The hashes that poetry's releases give a pyproject.toml: see poetry/packages/locker.py."""
    poetry, project = document.get("tool", {}).get("poetry", {}), document.get("project", {})
    groups = document.get("dependency-groups", {})
    legacy = {key: poetry.get(key) for key in ("dependencies", "source", "extras", "dev-dependencies")}
    group = {"group": poetry["group"]} if "group" in poetry else {}
    standard = {key: project[key] for key in _PROJECT_KEYS if project.get(key) is not None}
    own = {key: value for key, value in (legacy | group).items() if value is not None}
    contents: list[object] = [
        legacy,  # poetry 1.0 and 1.1
        legacy | group,
        {"project": standard, "tool": {"poetry": own}},
        {"project": standard, "dependency-groups": groups, "tool": {"poetry": own}},
        {"dependency-groups": groups, "tool": {"poetry": own}},
    ]
    return {hashlib.sha256(json.dumps(it, sort_keys=True, default=str).encode()).hexdigest() for it in contents}


def _asked(project: Table) -> Iterator[tuple[str, str]]:
    """Names and requirements of the project's dependencies, from [project] or else from poetry's own table."""
    listed = project.get("project", {}).get("dependencies")
    if listed is not None:
        yield from ((name, text) for text in listed if (name := package_of(text)))
        return
    table: dict[str, Any] = project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    for name, wanted in table.items():
        if name.lower() == "python":
            continue
        for item in wanted if isinstance(wanted, list) else [wanted]:
            details = item if isinstance(item, dict) else {}
            if not details.get("optional"):
                known = package_of(name) or name
                yield known, _pep508(known, details)


def _pep508(name: str, details: Table) -> str:
    """The dependency as a requirement, without a version, which comes from the lock."""
    extras = f"[{','.join(details['extras'])}]" if details.get("extras") else ""
    markers = [f"({details['markers']})"] if details.get("markers") else []
    markers += [f"sys_platform == '{details['platform']}'"] if details.get("platform") else []
    markers += [f"({marker})"] if (marker := _python(str(details.get("python", "")))) else []
    return f"{name}{extras} ; {' and '.join(markers)}" if markers else f"{name}{extras}"


def _python(wanted: str) -> str:
    """A Python version limit as a marker; empty for poetry's own form `^3.9`, which doesn't select by the image."""
    try:
        return " and ".join(f"python_version {it.operator} '{it.version}'" for it in SpecifierSet(wanted))
    except InvalidSpecifier:
        return ""


def _requirement(asked: str, name: str, package: Table | None, root: Path) -> str:
    source = package.get("source", {}) if package else {}
    kind = source.get("type", "legacy")
    if kind == "legacy":
        return asked
    head, _, marker = asked.partition(" ;")
    extras = head[head.find("[") :].partition("]")[0] + "]" if "[" in head else ""
    inside = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
    place = {
        "git": lambda: f"git+{source['url']}@{source.get('resolved_reference', source.get('reference', ''))}{inside}",
        "url": lambda: source["url"],
    }.get(kind, lambda: (root / source["url"]).resolve().as_uri())()
    return f"{name}{extras} @ {place}{f' ;{marker}' if marker else ''}"


def _hashes(package: Table, lock: Table) -> frozenset[str]:
    files = package.get("files") or lock.get("metadata", {}).get("files", {}).get(package["name"], [])
    return frozenset(str(file["hash"]).removeprefix("sha256:") for file in files if "hash" in file)


def _indexes(packages: list[dict[str, Any]]) -> list[str]:
    sources = (package.get("source", {}) for package in packages)
    found = dict.fromkeys(source["url"] for source in sources if source.get("type") == "legacy" and "url" in source)
    return [f"--extra-index-url {url}" for url in found]


def _number(text: str, name: str) -> int:
    return text[: max(text.find(f'name = "{name}"'), 0)].count("\n") + 1
