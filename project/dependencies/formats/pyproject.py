"""Reads dependencies from pyproject.toml: [project], dependency groups, and poetry's own table."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ....core.errors import DependencyError
from ....core.security.parsed_text import parse_toml
from ...settings.settings import Settings
from . import poetry_versions
from .requirements_txt import Line, Requirements, decoded, package_of, read_file

NAME = "pyproject.toml"
Table = Mapping[str, Any]


def document(root: Path) -> dict[str, Any]:
    """The content of the project's pyproject.toml; empty if there is none.

    Raises:
        DependencyError: It is not valid TOML.
    """
    path = root / NAME
    if not path.is_file():
        return {}
    try:
        return parse_toml(decoded(path, NAME))
    except tomllib.TOMLDecodeError as error:
        raise DependencyError(f"not valid TOML: {error}", where=path, next_step="Fix that line") from error


def read(root: Path, settings: Settings) -> Requirements | None:
    """Reads the dependencies, and those of the chosen extras and groups; None if the file lists none.

    Raises:
        DependencyError: The file can't be read, or has no such extra or group.
    """
    found = document(root)
    project = _table(found.get("project"))
    listed = _listed(root, project, found)
    chosen = extras_and_groups(root, settings)
    if listed is None and not chosen:
        return None
    listed = listed or Requirements(NAME)
    text = decoded(root / NAME, NAME)
    return replace(listed, method=NAME, lines=(*listed.lines, *(_line(text, item) for item in chosen)))


def _listed(root: Path, project: Table, found: Table) -> Requirements | None:
    text = decoded(root / NAME, NAME) if found else ""
    if "dependencies" in project:
        return Requirements(NAME, tuple(_line(text, item) for item in _texts(root, project["dependencies"])))
    if "dependencies" in project.get("dynamic", ()):
        return _dynamic(root, found)
    poetry = _table(_table(found.get("tool")).get("poetry"))
    if "dependencies" in poetry:
        items = poetry_versions.requirements(poetry["dependencies"])
        return Requirements(NAME, tuple(_line(text, item) for item in items))
    return None


def _dynamic(root: Path, found: Table) -> Requirements | None:
    """The lists that setuptools or hatch-requirements-txt read dependencies from."""
    tool = _table(found.get("tool"))
    setuptools = _table(_table(_table(tool.get("setuptools")).get("dynamic")).get("dependencies")).get("file")
    hooks = _table(_table(_table(tool.get("hatch")).get("metadata")).get("hooks"))
    files = setuptools or _table(hooks.get("requirements_txt")).get("files")
    names = [files] if isinstance(files, str) else files
    if not names:
        return None
    lists: list[Requirements] = []
    for name in names:
        if not (root / name).is_file():
            raise DependencyError(f"there is no {name}", where=root / NAME, next_step="Fix its dynamic dependencies")
        lists.append(read_file(root, root / name))
    return merged(lists)


def merged(lists: Sequence[Requirements]) -> Requirements:
    """Several lists as one."""
    return Requirements(
        NAME,
        tuple(line for listed in lists for line in listed.lines),
        tuple(option for listed in lists for option in listed.options),
        {name: hashes for listed in lists for name, hashes in listed.hashes.items()},
    )


def extras_and_groups(root: Path, settings: Settings) -> list[str]:
    """The requirements of the chosen extras and groups.

    Raises:
        DependencyError: There is no such extra or group; it names those that exist.
    """
    known_extras, known_groups = extras(root), groups(root)
    chosen: list[str] = []
    for kind, names, known in (("extra", settings.extras, known_extras), ("group", settings.groups, known_groups)):
        for name in names:
            if canonicalize_name(name) not in known:
                there = ", ".join(known) or "none"
                raise DependencyError(
                    f"there is no {kind} {name} in {NAME}: it has {there}",
                    where=root / NAME,
                    next_step=f"Fix {kind}s under [tool.vertex-training]",
                )
            chosen += known[canonicalize_name(name)]
    return chosen


def extras(root: Path) -> dict[str, list[str]]:
    """The requirements of each extra (optional dependencies), by canonical name."""
    found = document(root)
    project = _table(found.get("project"))
    own = canonicalize_name(str(project.get("name", "")))
    optional: dict[str, list[str]] = {
        canonicalize_name(key): _texts(root, value) for key, value in _optional(found, project).items()
    }
    return {name: list(_with_own(name, optional, own, frozenset())) for name in optional}


def _optional(found: Table, project: Table) -> Table:
    if "optional-dependencies" in project:
        return _table(project["optional-dependencies"])
    poetry = _table(_table(found.get("tool")).get("poetry"))
    table = _table(poetry.get("dependencies"))
    return {
        name: [text for key in keys for text in poetry_versions.requirements({key: table.get(key, "*")}, optional=True)]
        for name, keys in _table(poetry.get("extras")).items()
    }


def _with_own(name: str, optional: Mapping[str, list[str]], own: str, seen: frozenset[str]) -> Iterator[str]:
    """An extra's requirements; one that names the project's own extras is replaced by them."""
    for text in optional.get(name, ()) if name not in seen else ():
        wanted = _requirement(text)
        if wanted and canonicalize_name(wanted.name) == own:
            for other in wanted.extras:
                yield from _with_own(canonicalize_name(other), optional, own, seen | {name})
        else:
            yield text


def groups(root: Path) -> dict[str, list[str]]:
    """The requirements of each dependency group, by canonical name, included groups in their place."""
    found = document(root)
    tool = _table(found.get("tool"))
    tables: dict[str, Any] = {
        canonicalize_name(key): value for key, value in _table(found.get("dependency-groups")).items()
    }
    result: dict[str, list[str]] = {name: list(_of_group(root, name, tables, frozenset())) for name in tables}
    poetry = _table(tool.get("poetry"))
    for name, group in _table(poetry.get("group")).items():
        result[canonicalize_name(name)] = poetry_versions.requirements(_table(group.get("dependencies")), optional=True)
    for name, texts in _table(_table(tool.get("pdm")).get("dev-dependencies")).items():
        result.setdefault(canonicalize_name(name), _texts(root, texts))
    return result


def _of_group(root: Path, name: str, tables: Table, seen: frozenset[str]) -> Iterator[str]:
    """A group's requirements: https://packaging.python.org/en/latest/specifications/dependency-groups/."""
    for item in tables.get(name, ()) if name not in seen else ():
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict) and "include-group" in item:
            yield from _of_group(root, canonicalize_name(item["include-group"]), tables, seen | {name})
        else:
            raise DependencyError(f"group {name} has an invalid item", where=root / NAME, next_step="Fix that group")


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(root: Path, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DependencyError("dependencies must be a list of texts", where=root / NAME, next_step="Fix that list")
    return list(value)


def _line(text: str, item: str) -> Line:
    at = text.find(item)
    at = at if at >= 0 else text.find(package_of(item) or item)
    return Line(NAME, text[: max(at, 0)].count("\n") + 1, item, package_of(item))
