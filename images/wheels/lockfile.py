"""Reads `pylock.toml` (https://packaging.python.org/en/latest/specifications/pylock-toml/): the wheels to install."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.markers import Environment
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
)
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ...core.errors import WheelError
from ...core.security.parsed_text import parse_toml

_NEWEST_GLIBC = 45  # glibc 2.45: no wheel asks for a newer one yet
_NEXT_STEP = "Lock the dependencies again for linux/amd64, with wheels only"


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """One wheel to install.

    Attributes:
        name: The normalised project name.
        version: The version in the file name: a layer's title depends on the wheel only, not on the lock.
        filename: The wheel's file name.
        sha256: The wheel's SHA-256, hexadecimal.
        source: The URL to download it from, or its file on this machine.
        size: Bytes; 0 if the lock doesn't say.
    """

    name: str
    version: str
    filename: str
    sha256: str
    source: str | Path
    size: int

    @property
    def title(self) -> str:
        """For people: "numpy 2.1.0"."""
        return f"{self.name} {self.version}"


def read_lock(text: str, python: str, folder: Path) -> list[LockedWheel]:
    """The wheels that a lock selects for linux/amd64, sorted by name.

    Args:
        text: The lock; empty for no dependencies.
        python: Minor version of the image's Python.
        folder: The folder that relative paths in the lock start from.

    Raises:
        WheelError: The lock is invalid, or a package in it has no wheel for this platform or no SHA-256.
    """
    if not text.strip():
        return []
    try:
        lock = Pylock.from_dict(parse_toml(text))
        selected = list(lock.select(environment=_environment(python), tags=_tags(python)))
        wheels = [_wheel(package, source, python, folder) for package, source in selected]
    except (tomllib.TOMLDecodeError, PylockValidationError, PylockSelectError, InvalidWheelFilename) as error:
        raise WheelError(f"the lock can't be used: {error}", next_step=_NEXT_STEP) from error
    return sorted(wheels, key=lambda wheel: wheel.name)


def lock_hash(wheels: Sequence[LockedWheel], python: str) -> str:
    """A hash of the wheels' names and hashes, independent of where they come from: SHA-256, hexadecimal."""
    lines = [python, *(f"{wheel.filename} {wheel.sha256}" for wheel in wheels)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _wheel(package: Package, source: object, python: str, folder: Path) -> LockedWheel:
    if not isinstance(source, (PackageWheel, PackageArchive)):
        raise WheelError(f"{package.name} has no wheel in the lock", next_step=_NEXT_STEP)
    location = _location(source, folder)
    # A PackageArchive has no file name of its own.
    filename = getattr(source, "filename", None) or unquote(str(location).rpartition("/")[2])
    name, version, _, tags = parse_wheel_filename(filename)
    if tags.isdisjoint(_tags(python)):
        raise WheelError(f"wheel {filename} isn't for Python {python} on linux/amd64", next_step=_NEXT_STEP)
    sha256 = source.hashes.get("sha256", "").lower()
    if len(sha256) != 64:
        raise WheelError(f"the lock has no sha256 for {filename}", next_step="Lock again with hashes")
    return LockedWheel(name, str(version), filename, sha256, location, source.size or 0)


def _location(source: PackageWheel | PackageArchive, folder: Path) -> str | Path:
    if source.path:
        return folder / source.path
    assert source.url
    parts = urlsplit(source.url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else source.url


@cache
def _tags(python: str) -> tuple[Tag, ...]:
    """The wheel tags that a CPython of that minor version can install on linux/amd64 with glibc, best first."""
    version = _numbers(python)
    platforms = [f"manylinux_2_{glibc}_x86_64" for glibc in range(_NEWEST_GLIBC, 4, -1)]
    for legacy, before in (("manylinux2014", 17), ("manylinux2010", 12), ("manylinux1", 5)):
        platforms.insert(platforms.index(f"manylinux_2_{before}_x86_64") + 1, f"{legacy}_x86_64")
    platforms.append("linux_x86_64")
    interpreter = f"cp{version[0]}{version[1]}"
    return (*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms))


def _environment(python: str) -> Environment:
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        # The base's patch release isn't known here; the highest satisfies a lock that requires one.
        "python_full_version": f"{python}.99",
        "python_version": python,
        "sys_platform": "linux",
    }


def _numbers(python: str) -> tuple[int, int]:
    major, _, minor = python.partition(".")
    return int(major), int(minor)
