"""Adds the metadata of the project's own package to its files, for code that asks for its version."""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from ...core.atomic_files import write_atomic
from ...core.security.parsed_text import parse_toml
from ..settings.settings import Settings
from .project_file import ProjectFile

_ASKS = re.compile(rb"importlib[._]metadata|pkg_resources")
_PLACES = ("__init__.py", "_version.py", "version.py", "__about__.py", "__version__.py")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"\d[\w.!+-]*")
_ARGUMENT = re.compile(r"""\b(name|version)\s*=\s*["']([^"']+)["']""")
_NO_VERSION = "0"


def with_own_metadata(files: Sequence[ProjectFile], settings: Settings, cache: Path) -> tuple[ProjectFile, ...]:
    """The files, and NAME.dist-info/METADATA where the package asks for its own.

    The image has the project's code and does not install it. Without that file `version("NAME")`, which many packages
    call when they are imported, fails in the job only.

    Args:
        files: The project's files, sorted.
        settings: The project's settings.
        cache: Folder that keeps the file.
    """
    starts = settings.starts.file
    usual = [file for file in files if file.path == starts or file.path.endswith(_PLACES)]  # quick for many files
    if not any(_may_ask(file, starts) for file in usual):
        return tuple(files)
    name, version = _name_and_version(settings.root)
    if not name:
        return tuple(files)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    location = cache / "metadata" / f"{hashlib.sha256(text).hexdigest()}.txt"
    write_atomic(location, text)
    folder = f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}.dist-info"
    if any(file.path.startswith(f"{folder}/") for file in files):
        return tuple(files)
    added = ProjectFile(f"{folder}/METADATA", str(location), len(text), executable=False)
    return tuple(sorted((*files, added), key=itemgetter(0)))


def _name_and_version(root: Path) -> tuple[str, str]:
    """The package's; an empty name if it is none. A version that only a build computes is 0."""
    for table in _tables(root):
        name, version = table.get("name"), table.get("version")
        if isinstance(name, str) and _NAME.fullmatch(name):
            return name, version if isinstance(version, str) and _VERSION.fullmatch(version) else _NO_VERSION
    return "", ""


def _tables(root: Path) -> Iterator[Mapping[str, Any]]:
    """[project], Poetry's table, setup.cfg's [metadata] and the texts that setup.py gives as arguments."""
    document = parse_toml(_text(root / "pyproject.toml").removeprefix("\ufeff"))
    tools = document.get("tool")
    places = (document.get("project"), tools.get("poetry") if isinstance(tools, dict) else None)
    yield from (table for table in places if isinstance(table, dict))
    parser = configparser.RawConfigParser()
    with contextlib.suppress(configparser.Error):
        parser.read_string(_text(root / "setup.cfg"))
    if parser.has_section("metadata"):
        yield dict(parser.items("metadata"))
    yield dict(_ARGUMENT.findall(_text(root / "setup.py")))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _may_ask(file: ProjectFile, starts: str) -> bool:
    """Whether the script, or a module that usually holds a version, reads the metadata of packages."""
    name = file.path.rpartition("/")[2]
    if file.path != starts and (name not in _PLACES or file.path.count("/") > 2):
        return False
    try:
        return bool(_ASKS.search(file.source.read_bytes()))
    except OSError:
        return False
