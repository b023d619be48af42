"""Step 2: the exact dependencies, resolved by uv for the machine that will train the model."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ...core.atomic_files import write_atomic
from ...core.errors import DependencyError, storage_errors
from ...core.security.parsed_text import parse_toml
from ..settings.settings import Settings
from . import accelerators, interpreters, local_wheels, uv
from .find_list import read
from .formats.requirements_txt import Requirements
from .resolver import NOTE, Target, resolve
from .translate import Entry, Plan, make_plan
from .verified import differences, preferred_versions

TARGET = "x86_64-manylinux_2_28"
"""linux/amd64 with glibc 2.28 or later, as in every base image since Debian 10; wheels for older glibc work too."""

_VERSION = 2
_LOCKS_KEPT = 200
_SEAL = "# sha256 "
"""Beginning of a kept lock's first line, which has the hash of the rest: a damaged lock is made again."""
_UV_VARIABLES = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_STRATEGY"),
    *("UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_RESOLUTION", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_TORCH_BACKEND"),
)
"""Variables that change what uv resolves; others, such as UV_CACHE_DIR, don't."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Frozen dependencies.

    Attributes:
        text: A pylock.toml (https://packaging.python.org/specifications/pylock-toml) of wheels with URL and
            sha256; empty without dependencies, and for a conda list.
        python: Python minor version that it was resolved for.
        packages: Names and versions, sorted.
        digest: sha256 of names, versions and hashes of the wheels; it does not depend on the index they come from.
        method: The list that was frozen, such as "requirements.txt".
        changes: The lines that were replaced, built, dropped or added.
        notes: Further remarks, one sentence each.
        conda: Whether it is a conda list that was not translated, so that conda has to make the image.
        known: Whether an earlier run resolved it, so that no index was asked now.
    """

    text: str
    python: str
    packages: tuple[tuple[str, str], ...]
    digest: str
    method: str = "nothing"
    changes: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()
    conda: bool = False
    known: bool = field(default=False, compare=False)


def freeze(
    root: Path,
    settings: Settings,
    *,
    cache: Path,
    listed: Requirements | None = None,
    platform: str | None = TARGET,
    refresh: bool = False,
) -> Lock:
    """Resolves the project's dependency list to wheels, which proves before any build that it installs on `platform`.

    The result for the same list stays the same until `refresh`. As with a lock file, a new release on an index
    changes nothing.

    Args:
        root: The project's folder.
        settings: The project's settings.
        cache: Folder that keeps locks and the wheels that were built for them.
        listed: The project's dependency list; None reads it.
        platform: Value of `uv pip compile --python-platform`; None for this machine.
        refresh: Whether to resolve again although the result is known.

    Raises:
        DependencyError: A requirement can't be frozen; it names file and line. Transient if an index could not be
            reached.
        StorageError: The disk is full.
    """
    root = root.resolve()
    listed = listed or read(root, settings)
    plan = _plan(root, settings, listed)
    if listed.conda:
        return replace(_lock("", settings.python), method=listed.method, conda=True)
    if not plan.requirements and not plan.builds:
        lock = _lock("", settings.python)
    else:
        verified = preferred_versions(root, settings, listed)
        target = Target(root, settings.python, platform, cache, verified)
        lock = _resolved(plan, target, refresh=refresh)
        lock = replace(lock, notes=(*_kept_notes(lock), *differences(lock.packages, verified)))
    accelerators.refuse_cpu_only_lock(lock.packages, listed, settings)
    notes = (*listed.notes, *lock.notes, *accelerators.describe(dict(lock.packages), settings))
    changes = (*_at_commits(plan, cache), *_built_sdists(lock, plan, cache))
    return replace(lock, method=listed.method, changes=changes, notes=notes)


def _resolved(plan: Plan, target: Target, *, refresh: bool) -> Lock:
    """The lock of the plan's requirements, from the cache unless `refresh` or one of its wheels is gone."""
    cache = target.cache
    store = cache / "locks" / f"{_key(plan, target)}.toml"
    known = None if refresh else _known(store, target.python)
    if known and not missing_wheels(known):
        return replace(known, known=True)
    _require_variables(plan)
    with storage_errors(cache):
        wheels = [build.requirement(local_wheels.wheel_of(build, cache, refresh=refresh)) for build in plan.builds]
        text = resolve(plan, wheels, target)
        lock = _lock(text, target.python)
        _require_hashes(lock, plan, target)
        _keep(store, text)
    return lock


def _require_variables(plan: Plan) -> None:
    """Rejects a list with a variable that is not set: uv would take its name for the login or the address.

    Raises:
        DependencyError: It names the variable.
    """
    texts = [(plan.method, option) for option in plan.options] + [(line.place, line.text) for line in plan.lines]
    for place, text in texts:
        for name in re.findall(r"\$\{([A-Z0-9_]+)\}", text):
            if name not in os.environ:
                step = f"Set it: export {name}=..., as pip needs it"
                raise DependencyError(f"the variable {name} is not set", where=place, next_step=step)


def _kept_notes(lock: Lock) -> list[str]:
    """The remarks that were written into the lock when it was resolved."""
    return [line.removeprefix(NOTE) for line in lock.text.splitlines() if line.startswith(NOTE)]


def _built_sdists(lock: Lock, plan: Plan, cache: Path) -> list[Entry]:
    """The packages whose wheels were built from the sdists of an index."""
    packages: list[dict[str, Any]] = parse_toml(lock.text).get("packages", [])
    built = [package for package in packages if "archive" not in package and _is_built(package, cache)]
    places = {line.name: line.place for line in plan.lines}
    return [
        Entry(
            places.get(package["name"], plan.method),
            f"{package['name']}=={package['version']}",
            "built",
            "a wheel",
            "has only an sdist",
        )
        for package in built
    ]


def _is_built(package: dict[str, Any], cache: Path) -> bool:
    places = (str(wheel.get("path") or wheel.get("url") or "") for wheel in _wheels(package))
    return any(unquote(place.removeprefix("file://")).startswith(f"{cache / 'built'}/") for place in places)


def _at_commits(plan: Plan, cache: Path) -> tuple[Entry, ...]:
    """The plan's changes, with the commits in place of branches and tags."""
    found = ((build, local_wheels.commit_of(build, cache)) for build in plan.builds)
    commits = {build.place: f"a wheel of commit {commit}" for build, commit in found if commit}
    return tuple(
        replace(entry, result=commits.get(entry.place, entry.result)) if entry.action == "built" else entry
        for entry in plan.changes
    )


def missing_wheels(lock: Lock) -> bool:
    """Whether a wheel that was built for the lock is gone or damaged: the cache was emptied, or the disk failed."""
    found = re.findall(r'path = "(/[^"]+)"(?:[^}\n]*sha256 = "([0-9a-f]{64})")?', lock.text)
    return any(not _is_intact(Path(path), sha256) for path, sha256 in found)


def _is_intact(wheel: Path, sha256: str) -> bool:
    try:
        with wheel.open("rb") as file:
            return not sha256 or hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def request_key(root: Path, settings: Settings, listed: Requirements | None = None) -> str:
    """A hash of everything that decides the result of `freeze`, apart from the content of indexes.

    Args:
        root: The project's folder.
        settings: The project's settings.
        listed: The project's dependency list; None reads it.

    Raises:
        DependencyError: A requirement can't be frozen.
    """
    root = root.resolve()
    listed = listed or read(root, settings)
    plan = _plan(root, settings, listed)
    refusing = [accelerators.wants_gpu(settings), settings.base]
    target = Target(root, settings.python, TARGET, Path(), preferred_versions(root, settings, listed))
    facts = json.dumps([_key(plan, target), listed.conda, refusing])
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def _plan(root: Path, settings: Settings, listed: Requirements) -> Plan:
    installed: dict[str, str] = {}
    if any(line.text.startswith(("-e", "--editable")) or "file:" in line.text for line in listed.lines):
        for interpreter in reversed(interpreters.interpreters(root, os.environ)):
            installed |= interpreter.installed()
    variables = {**os.environ, **uv.environment(os.environ)}
    wheels = _folders_of_wheels(root, listed.options, variables.get("UV_FIND_LINKS", ""))
    settings_of_uv = [*(variables.get(name, "") for name in _UV_VARIABLES), *_uv_settings(root)]
    known = "\n".join([*settings_of_uv, *(name for name, *_ in wheels)])
    return make_plan(root, settings, listed, installed, known)


def _keep(store: Path, text: str) -> None:
    write_atomic(store, f"{_SEAL}{_sha256(text)}\n{text}")
    for old in sorted(store.parent.glob("*.toml"), key=lambda path: path.stat().st_mtime)[:-_LOCKS_KEPT]:
        old.unlink(missing_ok=True)


def _require_hashes(lock: Lock, plan: Plan, target: Target) -> None:
    """Rejects a wheel that the list's hashes don't name, even if its version is right."""
    packages: list[dict[str, Any]] = parse_toml(lock.text)["packages"]
    for package in packages:
        allowed = plan.hashes.get(package["name"])
        if allowed and "archive" not in package and _is_built(package, target.cache):
            continue  # the sdist's hash was compared before it was built
        found = {wheel["hashes"]["sha256"] for wheel in _wheels(package)}
        if allowed and not found <= allowed and not _has_other_hash(package, allowed, target):
            line = next((line for line in plan.lines if line.name == package["name"]), None)
            raise DependencyError(
                f"the index's wheel of {package['name']} {package['version']} is not one of {plan.method}'s hashes",
                where=line.place if line else plan.method,
                next_step="Generate the list again, or find out why the file changed",
            )


def _has_other_hash(package: dict[str, Any], allowed: frozenset[str], target: Target) -> bool:
    """Whether the wheel has one of the hashes that are not of sha256; uv downloads it to find out."""
    other = [f"--hash={item}" for item in sorted(allowed) if ":" in item]
    wheel = _wheels(package)[0]
    place = wheel.get("url") or Path(target.root, wheel["path"]).as_uri()
    if not other:
        return False
    with tempfile.TemporaryDirectory(prefix="vertex-freeze-") as folder:
        listed = Path(folder, "requirements.txt")
        listed.write_text(f"{package['name']} @ {place} {' '.join(other)}\n", encoding="utf-8")
        arguments = ["pip", "install", "--no-deps", "--require-hashes", "--target", f"{folder}/target"]
        arguments += ["--python-version", target.python, "--python", sys.executable]
        arguments += ["--python-platform", target.platform] if target.platform else []
        return uv.run([*arguments, "--requirements", str(listed)], cwd=target.root).returncode == 0


def absolute(text: str, root: Path) -> str:
    """The lock's text with the paths of wheels inside the project made absolute again."""
    return re.sub(r'path = "(?!/)', f'path = "{root}/', text)


def _key(plan: Plan, target: Target) -> str:
    """A hash of everything that decides what uv resolves, apart from the content of indexes."""
    settings = {**os.environ, **uv.environment(os.environ)}
    hashes = sorted((name, sorted(allowed)) for name, allowed in plan.hashes.items())
    facts: list[Any] = [_rules(), target.python, target.platform or sys.platform]
    facts += [plan.requirements, plan.constraints, plan.options]
    facts += [hashes, [[local_wheels.signature(build), build.extras, build.marker] for build in plan.builds]]
    facts.append(uv.options(os.environ))
    facts.append([(name, settings[name]) for name in _UV_VARIABLES if settings.get(name)])
    facts.append(_folders_of_wheels(target.root, plan.options, settings.get("UV_FIND_LINKS", "")))
    facts.append(_uv_settings(target.root))
    facts += [target.preferred] if target.preferred else []
    limits = [*uv.constraints(target.root), *(target.root / name for name in settings.get("UV_OVERRIDE", "").split())]
    facts += [file.read_text(encoding="utf-8", errors="replace") for file in limits if file.is_file()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


@cache
def _rules() -> str:
    """A hash of this package's sources: a lock that older rules made is resolved again."""
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _folders_of_wheels(root: Path, options: Sequence[str], links: str) -> list[tuple[str, int, int]]:
    """Name, size and time of each file in local folders of wheels, so that a new or changed wheel counts."""
    written = [option.split(maxsplit=1)[1] for option in options if option.startswith("--find-links ")]
    folders = [root / link.removeprefix("file://") for link in (*links.split(","), *written) if link]
    entries = (entry for folder in folders if folder.is_dir() for entry in os.scandir(folder))
    return sorted((entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in entries if entry.is_file())


def _uv_settings(root: Path) -> list[str]:
    """The project's settings for uv, which can name indexes: https://docs.astral.sh/uv/reference/settings/."""
    own, shared = root / "uv.toml", root / "pyproject.toml"
    tool = parse_toml(shared.read_text(encoding="utf-8-sig")).get("tool", {}) if shared.is_file() else {}
    return [own.read_text(encoding="utf-8") if own.is_file() else "", json.dumps(tool.get("uv"), default=str)]


def _known(store: Path, python: str) -> Lock | None:
    try:
        seal, _, text = store.read_text(encoding="utf-8").partition("\n")
        return _lock(text, python) if text and seal == f"{_SEAL}{_sha256(text)}" else None
    except (OSError, UnicodeDecodeError, DependencyError):
        return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _lock(text: str, python: str) -> Lock:
    try:
        document = parse_toml(text) if text else {"packages": []}
        packages: list[dict[str, Any]] = document["packages"]
        versions = tuple(sorted((package["name"], package["version"]) for package in packages))
        hashes = sorted(wheel["hashes"]["sha256"] for package in packages for wheel in _wheels(package))
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise DependencyError(
            f"the lock can't be read: {error}",
            next_step="Upgrade uv: every package must be a wheel with a sha256",
            detail=text,
        ) from error
    digest = hashlib.sha256(json.dumps([_VERSION, python, versions, hashes]).encode()).hexdigest()
    return Lock(text, python, versions, digest)


def _wheels(package: dict[str, Any]) -> list[dict[str, Any]]:
    """A package's wheels; one that the list names by path or URL is an `archive` in the lock."""
    return [package["archive"]] if "archive" in package else package["wheels"]
