"""The environment in which the script is verified, whose versions are preferred where the list leaves room."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property, lru_cache
from importlib.metadata import Distribution, PackageMetadata, PathDistribution
from pathlib import Path

from packaging.utils import canonicalize_name

from ..settings.settings import Settings
from . import interpreters, local_sources
from .formats.requirements_txt import Requirements

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""https://packaging.python.org/en/latest/specifications/dependency-specifiers/#names"""

_LOCKS = frozenset(("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "environment"))


def users_interpreter(
    root: Path, settings: Settings, listed: Requirements
) -> tuple[interpreters.Interpreter | None, str]:
    """The user's own Python if it meets all requirements; else None and the reason, which may be empty."""
    if listed.conda:
        return interpreters.conda_environment(os.environ, settings.python), ""
    if not listed.lines:
        if (root / "Dockerfile").is_file() and listed.method == "nothing":
            return _of_dockerfile_project(root, settings), ""
        return None, ""  # an empty environment costs nothing, and proves that the script needs no package
    lines = [replace(line, name=line.name or local_sources.name_of(line, root)) for line in listed.lines]
    return interpreters.choose(root, lines, settings.python)


def _of_dockerfile_project(root: Path, settings: Settings) -> interpreters.Interpreter | None:
    """The activated environment, or the project's own: the Dockerfile installs what no list names."""
    found = interpreters.interpreters(root, os.environ)[:-1]  # without the Python that runs this program
    return next((it for it in found if it.python == settings.python), None)


def preferred_versions(root: Path, settings: Settings, listed: Requirements) -> dict[str, str]:
    """Versions of the listed packages and of all that they need, in the environment that verifies the script.

    It is empty for locks, which leave no room, and if the script is not verified in the user's own Python.
    """
    if settings.verify != "here" or listed.conda or listed.method in _LOCKS:
        return {}
    interpreter, _ = users_interpreter(root, settings, listed)
    if interpreter is None:
        return {}
    installed = installed_packages(interpreter.sites)
    names = [line.name or local_sources.name_of(line, root) for line in listed.lines if not line.constraint]
    reached = closure([name for name in names if name], installed)
    return {name: installed[name].version for name in sorted(reached) if name in installed}


def differences(packages: Sequence[tuple[str, str]], preferred: Mapping[str, str]) -> list[str]:
    """Remarks on the packages whose frozen version is not the verified one, one sentence each."""
    return [
        f"{name} {version} is frozen, and {preferred[name]} is installed where the script is verified: "
        f"the list or the index doesn't allow that version, or write {name}=={preferred[name]} in the list"
        for name, version in packages
        if name in preferred and preferred[name] != version
    ]


class _Installed(PathDistribution):
    """An installed package of whose metadata only what is asked for is read; the description is most of its text."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def read_text(self, filename: str | os.PathLike[str]) -> str | None:
        """A file of the package's metadata."""
        text = super().read_text(filename)
        return text.partition("\n\n")[0] if text and filename in {"METADATA", "PKG-INFO"} else text

    @cached_property
    def _head(self) -> str:
        try:
            data = (self._folder / "METADATA").read_bytes()
        except OSError:
            return ""
        return data.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode(errors="replace")

    @property
    def version(self) -> str:
        """The version. The parser of mails, which `Distribution.version` uses, takes ten times as long."""
        found = re.search(r"(?m)^Version: *(\S+)", self._head)
        return found[1] if found else super().version

    @cached_property
    def requires(self) -> list[str] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The requirements, without that parser too."""
        return re.findall(r"(?m)^Requires-Dist: *(.+)", self._head) or None if self._head else super().requires

    @cached_property
    def metadata(self) -> PackageMetadata:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The fields, as `Distribution.metadata`."""
        return super().metadata


def installed_packages(sites: Sequence[Path]) -> dict[str, Distribution]:
    """The packages in `site-packages` folders by canonical name; the first folder's count.

    The names are those of the folders: reading hundreds of METADATA files would take a third of a second.
    """
    found: dict[str, Distribution] = {}
    for site in sites:
        with suppress(OSError):  # there may be no such folder
            for name, package in _packages_of(site, site.stat().st_mtime_ns):
                found.setdefault(name, package)
    return found


@lru_cache(maxsize=16)
def _packages_of(site: Path, changed: int) -> tuple[tuple[str, Distribution], ...]:  # noqa: ARG001 - part of the key
    """The packages in a folder and their names, read again when an installation has `changed` the folder.

    A process asks several times, each time for hundreds of files. Installing, upgrading or removing a package makes or
    removes its folder of metadata, which sets the time of the folder around it.
    """
    names = sorted(os.listdir(site))  # noqa: PTH208 - without a Path for each file
    folders = [site / name for name in names if name.endswith((".dist-info", ".egg-info"))]
    return tuple((name, _Installed(folder)) for folder in folders if (name := _folder_name(folder)))


def _folder_name(path: Path) -> str:
    """A package's canonical name; empty for a broken installation."""
    if path.suffix == ".dist-info" and (path / "METADATA").is_file():
        return _canonical(path.stem.partition("-")[0])
    # Folders of old tools have no prescribed name.
    name = _Installed(path).metadata["Name"]
    return _canonical(name) if name else ""


def closure(names: Sequence[str], installed: Mapping[str, Distribution]) -> set[str]:
    """The packages and all their dependencies; those of every extra count."""
    reached: set[str] = set()
    waiting = [_canonical(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        found = installed.get(name)
        needed = {it for text in (found.requires or () if found else ()) if (it := _name(text))}
        waiting += needed - reached
    return reached


def _name(text: str) -> str | None:
    """The name in a requirement of an installed package. Parsing hundreds of them would take a tenth of a second."""
    found = _NAME.match(text)
    return _canonical(found[0]) if found else None


@cache
def _canonical(name: str) -> str:
    """A name as indexes compare it. The same few hundred names are met thousands of times."""
    return canonicalize_name(name)
