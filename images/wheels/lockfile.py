"""Reads `pylock.toml` (https://packaging.python.org/en/latest/specifications/pylock-toml/): which wheels to install."""

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

_NEWEST_GLIBC = 45  # 2.45; a lock chooses the wheels, this only has to know their tags
_AGAIN = "Lock the dependencies again for linux/amd64, with wheels only"


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """One wheel to install.

    Attributes:
        name: Normalised project name.
        version: As its filename says; what a layer is called depends on the wheel alone, never on the lock.
        filename: The wheel's own.
        sha256: Of the wheel, hexadecimal.
        source: A URL to download, or the file on this machine.
        size: Bytes if the lock tells, else 0.
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
    """The wheels that `text` asks for on linux/amd64, sorted by name.

    Args:
        text: The lock; empty for none.
        python: Minor version of the image's Python.
        folder: What relative paths in the lock start from.

    Raises:
        WheelError: The lock is broken, or has something that is no wheel, no wheel for this platform, or no SHA-256.
    """
    if not text.strip():
        return []
    try:
        lock = Pylock.from_dict(tomllib.loads(text))
        selected = list(lock.select(environment=_environment(python), tags=_tags(python)))
        wheels = [_wheel(package, source, python, folder) for package, source in selected]
    except (tomllib.TOMLDecodeError, PylockValidationError, PylockSelectError, InvalidWheelFilename) as error:
        raise WheelError(f"the lock can't be used: {error}", next_step=_AGAIN) from error
    return sorted(wheels, key=lambda wheel: wheel.name)


def lock_hash(wheels: Sequence[LockedWheel], python: str) -> str:
    """What the wheels are, wherever they come from: hexadecimal SHA-256 over their names and hashes."""
    lines = [python, *(f"{wheel.filename} {wheel.sha256}" for wheel in wheels)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _wheel(package: Package, source: object, python: str, folder: Path) -> LockedWheel:
    if not isinstance(source, (PackageWheel, PackageArchive)):
        raise WheelError(f"{package.name} has no wheel in the lock", next_step=_AGAIN)
    place = _place(source, folder)
    # A PackageArchive has no name of its own.
    filename = getattr(source, "filename", None) or unquote(str(place).rpartition("/")[2])
    name, version, _, tags = parse_wheel_filename(filename)
    if tags.isdisjoint(_tags(python)):
        raise WheelError(f"wheel {filename} isn't for Python {python} on linux/amd64", next_step=_AGAIN)
    sha256 = source.hashes.get("sha256", "").lower()
    if len(sha256) != 64:
        raise WheelError(f"the lock has no sha256 for {filename}", next_step="Lock again with hashes")
    return LockedWheel(name, str(version), filename, sha256, place, source.size or 0)


def _place(source: PackageWheel | PackageArchive, folder: Path) -> str | Path:
    if source.path:
        return folder / source.path
    assert source.url
    parts = urlsplit(source.url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else source.url


@cache
def _tags(python: str) -> tuple[Tag, ...]:
    """What a CPython of that minor on linux/amd64 with glibc can install, best first."""
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
        # A lock that asks for a patch release is met by the base, whose patch release isn't known here.
        "python_full_version": f"{python}.99",
        "python_version": python,
        "sys_platform": "linux",
    }


def _numbers(python: str) -> tuple[int, int]:
    major, _, minor = python.partition(".")
    return int(major), int(minor)
