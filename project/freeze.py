"""Step 2: the exact dependencies, resolved by uv for the machine that will train."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..core.errors import DependencyError, storage_errors
from ..core.files import write_atomic
from . import uv
from .requirements import Requirements, read
from .resolution import explain
from .settings import Settings

TARGET = "x86_64-manylinux_2_28"
"""linux/amd64 with glibc 2.28 or later: every base since Debian 10; wheels for older ones fit too."""

_VERSION = 1
_LOCKS_KEPT = 200
_DECIDING = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_STRATEGY"),
    *("UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_RESOLUTION", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_TORCH_BACKEND"),
)
"""Variables on which uv's answer depends; a new value of any other, as of UV_CACHE_DIR, changes nothing."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Frozen dependencies.

    Attributes:
        text: A pylock.toml (https://packaging.python.org/specifications/pylock-toml): wheels only, with URL
            and sha256; empty for no dependencies at all.
        python: Minor version it was resolved for.
        packages: Names and versions, sorted.
        digest: sha256 of what gets installed (names, versions, wheels' hashes), whatever index it comes from.
    """

    text: str
    python: str
    packages: tuple[tuple[str, str], ...]
    digest: str


def freeze(
    root: Path, settings: Settings, *, cache: Path, platform: str | None = TARGET, refresh: bool = False
) -> Lock:
    """Resolves the project's requirements to wheels that install on `platform`.

    The answer for the same requirements stays the same until `refresh`: like a lock file, it doesn't move
    when an index gets a new release.

    Args:
        root: The project's folder.
        settings: Its settings.
        cache: Folder that keeps locks.
        platform: As `uv pip compile --python-platform` names it; None for this machine.
        refresh: Resolve again although the answer is known.

    Raises:
        DependencyError: A requirement that can't be frozen, with its file and line; transient if an index could
            not be reached.
        StorageError: The disk is full.
    """
    root = root.resolve()
    requirements = read(root, settings)
    if not requirements.lines:
        return _lock("", settings.python)
    store = cache / "locks" / f"{_key(root, requirements, settings.python, platform)}.toml"
    if not refresh and (known := _known(store, settings.python)):
        return known
    text = _resolve(root, requirements, settings.python, platform)
    lock = _lock(text, settings.python)
    write_atomic(store, text)
    for old in sorted(store.parent.glob("*.toml"), key=lambda path: path.stat().st_mtime)[:-_LOCKS_KEPT]:
        old.unlink(missing_ok=True)
    return lock


def request_key(root: Path, settings: Settings) -> str:
    """A hash of everything that decides what `freeze` answers, but for what indexes hold at the time.

    Raises:
        DependencyError: A requirement that can't be frozen at all.
    """
    root = root.resolve()
    return _key(root, read(root, settings), settings.python, TARGET)


def _resolve(root: Path, requirements: Requirements, python: str, platform: str | None) -> str:
    arguments = ["pip", "compile", "--format", "pylock.toml", "--no-header", "--no-annotate"]
    arguments += ["--python-version", python, "--python", sys.executable, "--only-binary", ":all:"]
    if platform is not None:
        arguments += ["--python-platform", platform]
    with (
        storage_errors(tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="vertex-freeze-") as folder,
    ):
        source = requirements.source
        if source is None:
            source = Path(folder, "requirements.in")
            source.write_text("\n".join(line.text for line in requirements.lines) + "\n", encoding="utf-8")
        finished = uv.run([*arguments, str(source)], cwd=root)
    if finished.returncode != 0:
        raise explain(finished.stderr, requirements.lines, python)
    return _relocatable(finished.stdout, root)


def _relocatable(text: str, root: Path) -> str:
    """Makes wheels inside the project relative to it, so that the text doesn't tell where the project lies."""

    def relative(match: re.Match[str]) -> str:
        path = unquote(match[1])
        if not path.startswith(f"{root}/"):
            return match[0]
        return f"path = {json.dumps(path[len(str(root)) + 1 :])}"

    return re.sub(r'url = "file://(/[^"]*)"', relative, text)


def _key(root: Path, requirements: Requirements, python: str, platform: str | None) -> str:
    """Everything that decides the answer, but for what indexes hold at the time."""
    settings = {**os.environ, **uv.environment(os.environ)}
    facts: list[Any] = [_VERSION, python, platform or sys.platform, sorted(requirements.texts.items())]
    facts.append(uv.options(os.environ))
    facts.append([(name, settings[name]) for name in _DECIDING if settings.get(name)])
    facts.append(_folders_of_wheels(root, requirements, settings.get("UV_FIND_LINKS", "")))
    facts.append(_uv_settings(root))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _folders_of_wheels(root: Path, requirements: Requirements, links: str) -> list[tuple[str, int, int]]:
    """What lies in local folders of wheels: one that is put or changed there must be seen."""
    written = re.findall(r"(?m)^(?:-f|--find-links)[ =]*(\S+)", "\n".join(requirements.texts.values()))
    folders = [root / link.removeprefix("file://") for link in (*links.split(","), *written) if link]
    entries = (entry for folder in folders if folder.is_dir() for entry in os.scandir(folder))
    return sorted((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in entries if entry.is_file())


def _uv_settings(root: Path) -> list[str]:
    """The project's own settings of uv, which name indexes too: https://docs.astral.sh/uv/reference/settings/."""
    own, shared = root / "uv.toml", root / "pyproject.toml"
    tool = tomllib.loads(shared.read_text(encoding="utf-8")).get("tool", {}) if shared.is_file() else {}
    return [own.read_text(encoding="utf-8") if own.is_file() else "", json.dumps(tool.get("uv"), default=str)]


def _known(store: Path, python: str) -> Lock | None:
    try:
        text = store.read_text(encoding="utf-8")
        return _lock(text, python) if text else None
    except (OSError, DependencyError):
        return None


def _lock(text: str, python: str) -> Lock:
    try:
        document = tomllib.loads(text) if text else {"packages": []}
        packages: list[dict[str, Any]] = document["packages"]
        versions = tuple(sorted((package["name"], package["version"]) for package in packages))
        hashes = sorted(wheel["hashes"]["sha256"] for package in packages for wheel in package["wheels"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise DependencyError(
            f"the lock can't be read: {error}",
            next_step="Every package must be a wheel with a sha256: try a newer uv",
            detail=text,
        ) from error
    digest = hashlib.sha256(json.dumps([_VERSION, python, versions, hashes]).encode()).hexdigest()
    return Lock(text, python, versions, digest)
