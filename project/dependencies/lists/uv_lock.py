"""Reads uv.lock, of the project or of the workspace around it, and rejects one that is out of date."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ....core.errors import DependencyError
from ....core.security.parsed_text import parse_toml
from ...settings.settings import Settings
from .. import uv
from ..formats import pyproject
from ..formats.freshness import require_satisfied
from ..formats.requirements_txt import Line, Requirements, decoded, package_of, read_text
from . import workspace

LOCK = "uv.lock"
_PYPI = "https://pypi.org/simple"
_NEXT_STEP = "Run uv lock"
_Wanted = tuple[str, str, frozenset[str], str]


def read(root: Path, settings: Settings) -> Requirements | None:
    """Reads the lock; None if there is none.

    Raises:
        DependencyError: The lock can't be read or is out of date, or has no such extra or group.
    """
    shared = workspace.find(root)
    folder = root if (root / LOCK).is_file() or shared is None else shared.root
    path = folder / LOCK
    if not path.is_file():
        return None
    if not (root / "pyproject.toml").is_file():
        raise DependencyError("uv.lock has no pyproject.toml beside it", where=root, next_step="Put it there")
    text = decoded(path, LOCK)
    member = shared.member_of(root / settings.script) if shared else None
    of = shared.members[member] if shared and member else root
    pyproject.extras_and_groups(of, settings)
    _require_python(path, text, settings.python)
    _require_fresh(path, text, {of, root})
    listed = read_text(root, LOCK, _absolute(_exported(of, member, settings), folder))
    options = _registries(path, text)
    return replace(listed, lines=_with_lock_lines(listed.lines, text), options=(*listed.options, *options))


def _require_python(path: Path, text: str, python: str) -> None:
    """Rejects a Python for which uv locked nothing: its wheels are not among the lock's hashes.

    Raises:
        DependencyError: The lock is for other versions.
    """
    wanted = str(_parsed(path, text).get("requires-python", ""))
    if not any(SpecifierSet(wanted).contains(f"{python}.{patch}") for patch in (0, 99)):
        raise DependencyError(
            f"uv.lock is for Python {wanted}, and the project is trained with {python}",
            where=path,
            next_step="Delete python under [tool.vertex-training], or lock for that version too: requires-python in "
            "pyproject.toml, then uv lock",
        )


def _exported(root: Path, member: str | None, settings: Settings) -> str:
    """The lock as a requirements file, exported by uv without asking an index."""
    command = ["export", "--frozen", "--no-emit-project", "--no-dev", "--no-header", "--no-annotate"]
    command += ["--package", member] if member else []
    command += [word for extra in settings.extras for word in ("--extra", extra)]
    command += [word for group in settings.groups for word in ("--group", group)]
    finished = uv.run(command, cwd=root)
    if finished.returncode != 0:
        raise DependencyError(
            f"uv can't read uv.lock: {' '.join(finished.stderr.split())[:300]}", where=root, next_step=_NEXT_STEP
        )
    return finished.stdout


def _absolute(text: str, folder: Path) -> str:
    """The requirements with absolute paths: uv writes them relative to the lock's folder."""

    def absolute(found: re.Match[str]) -> str:
        path = (folder / found[2]).resolve()
        return f"{found[1] or ''}{path}"

    return re.sub(r"^(-e )?(\.{1,2}(?:/\S*)?)(?=\s|$)", absolute, text, flags=re.MULTILINE)


def _require_fresh(path: Path, text: str, folders: set[Path]) -> None:
    """Compares what the lock says was wanted with what is wanted now, as `uv lock --check` does with an index.

    Raises:
        DependencyError: They differ; it names a dependency.
    """
    packages: list[dict[str, Any]] = _parsed(path, text).get("package", [])
    versions: dict[str, str] = {canonicalize_name(package["name"]): package.get("version", "") for package in packages}
    for folder in folders:
        found = pyproject.document(folder)
        project = found.get("project", {})
        package = next((it for it in packages if it["name"] == canonicalize_name(project.get("name", ""))), None)
        if package is None or "dependencies" in project.get("dynamic", ()):
            continue
        now, then = set(_now(project, found)), set(_then(package))
        if now != then:
            names = sorted({wanted[0] for wanted in now ^ then})
            raise DependencyError(
                f"uv.lock is out of date: pyproject.toml has changed what it wants of {', '.join(names)}",
                where=path,
                next_step=_NEXT_STEP,
            )
        direct: dict[str, str] = {
            name: version for name, version in versions.items() if version and _count(packages, name) == 1
        }
        wanted = [text for text in project.get("dependencies", ()) if package_of(text) in direct]
        require_satisfied(path, wanted, direct, _NEXT_STEP)


def _count(packages: list[dict[str, Any]], name: str) -> int:
    return sum(canonicalize_name(package["name"]) == name for package in packages)


def _now(project: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[_Wanted]:
    """What pyproject.toml wants: name, versions, extras, and the extra or group that wants it."""
    listed = [("", text) for text in project.get("dependencies", ())]
    listed += [(extra, text) for extra, texts in project.get("optional-dependencies", {}).items() for text in texts]
    groups = {**found.get("dependency-groups", {})}
    if development := found.get("tool", {}).get("uv", {}).get("dev-dependencies"):
        groups["dev"] = [*groups.get("dev", ()), *development]
    listed += [(f"{group}!", text) for group, texts in groups.items() for text in texts if isinstance(text, str)]
    for source, text in listed:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        extras = frozenset(canonicalize_name(extra) for extra in wanted.extras)
        yield canonicalize_name(wanted.name), _specifiers(str(wanted.specifier)), extras, _key(source)


def _then(package: Mapping[str, Any]) -> Iterator[_Wanted]:
    """What the lock says that pyproject.toml wanted."""
    metadata: dict[str, Any] = package.get("metadata", {})
    for item in metadata.get("requires-dist", ()):
        extra = re.search(r"extra == '([^']+)'", item.get("marker", ""))
        yield _locked(item, extra[1] if extra else "")
    for group, items in metadata.get("requires-dev", {}).items():
        yield from (_locked(item, f"{group}!") for item in items)


def _locked(item: Mapping[str, Any], source: str) -> _Wanted:
    extras = frozenset(canonicalize_name(extra) for extra in item.get("extras", ()))
    return canonicalize_name(item["name"]), _specifiers(item.get("specifier", "")), extras, _key(source)


def _key(source: str) -> str:
    return canonicalize_name(source.removesuffix("!")) + ("!" if source.endswith("!") else "")


def _specifiers(text: str) -> str:
    return ",".join(sorted(str(item) for item in SpecifierSet(text)))


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise DependencyError(f"not valid TOML: {error}", where=path, next_step=_NEXT_STEP) from error


def _registries(path: Path, text: str) -> list[str]:
    """The indexes other than PyPI that packages of a uv.lock come from, as options of a requirements file."""
    packages: list[dict[str, Any]] = _parsed(path, text).get("package", [])
    places = dict.fromkeys(str(package.get("source", {}).get("registry", _PYPI)) for package in packages)
    return [
        f"--extra-index-url {place}" if "://" in place else f"--find-links {(path.parent / place).resolve()}"
        for place in places
        if place.rstrip("/") != _PYPI
    ]


def _with_lock_lines(lines: tuple[Line, ...], text: str) -> tuple[Line, ...]:
    """The lines with the line numbers of their packages in the lock, which a user can look up."""
    places = {name: number for number, raw in enumerate(text.splitlines(), 1) if (name := _named(raw))}
    return tuple(replace(line, number=places.get(line.name or "", line.number)) for line in lines)


def _named(raw: str) -> str | None:
    found = re.match(r'name = "([^"]+)"', raw)
    return package_of(found[1]) if found else None
