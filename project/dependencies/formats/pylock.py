"""Reads pylock.toml: https://packaging.python.org/en/latest/specifications/pylock-toml/."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from packaging.pylock import Package, Pylock, PylockValidationError

from ....core.errors import DependencyError
from ....core.security.parsed_text import parse_toml
from .requirements_txt import Line, Requirements, decoded, package_of


def read(root: Path, path: Path) -> Requirements:
    """Reads the lock: each package with its version, or with the folder, file or repository that the lock names.

    Raises:
        DependencyError: The file is not a valid lock.
    """
    text = decoded(path, path.name)
    try:
        packages = Pylock.from_dict(parse_toml(text)).packages
    except (tomllib.TOMLDecodeError, PylockValidationError) as error:
        raise DependencyError(
            f"{path.name} can't be read: {error}", where=path, next_step="Create it again with the tool that wrote it"
        ) from error
    lines = [
        Line(path.name, _number(text, package.name), _requirement(root, package), package_of(package.name))
        for package in packages
    ]
    indexes = dict.fromkeys(package.index for package in packages if package.index)
    options = tuple(f"--extra-index-url {index}" for index in indexes if "//pypi.org/" not in index)
    hashes = {package_of(package.name) or "": found for package in packages if (found := _hashes(package))}
    return Requirements(path.name, tuple(lines), options, hashes)


def _requirement(root: Path, package: Package) -> str:
    marker = f" ; {package.marker}" if package.marker else ""
    if vcs := package.vcs:
        inside = f"#subdirectory={vcs.subdirectory}" if vcs.subdirectory else ""
        place = f"{vcs.type}+{vcs.url or (root / str(vcs.path)).as_uri()}@{vcs.commit_id}{inside}"
    elif package.directory:
        place = (root / package.directory.path / (package.directory.subdirectory or "")).resolve().as_uri()
    elif package.archive:
        place = package.archive.url or (root / str(package.archive.path)).as_uri()
    elif local := next((wheel.path for wheel in package.wheels or () if wheel.path), None):
        place = (root / local).as_uri()
    else:
        return f"{package.name}=={package.version}{marker}" if package.version else f"{package.name}{marker}"
    return f"{package.name} @ {place}{marker}"


def _hashes(package: Package) -> frozenset[str]:
    files: list[Any] = [*(package.wheels or ()), package.sdist, package.archive]
    return frozenset(file.hashes["sha256"] for file in files if file is not None and "sha256" in file.hashes)


def _number(text: str, name: str) -> int:
    at = text.find(f'name = "{name}"')
    return text[: max(at, 0)].count("\n") + 1
