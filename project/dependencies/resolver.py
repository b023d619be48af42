"""Resolves a plan's requirements to wheels with uv; a release that has only an sdist is built into a wheel."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ...core.errors import DependencyError
from ...core.integrity.tree_record import is_unchanged, record_tree
from ...core.network.index_logins import without_login
from ..settings.python_version import this_python
from . import local_wheels, uv
from .local_sources import Build
from .resolver_errors import explain, needed_by, place_of
from .sdists import Release, download, release_of
from .translate import Plan

NOTE = "# note: "
"""Beginning of the comment lines of a lock that hold remarks on it."""

_ROUNDS = 100
"""Upper limit of the packages whose sdist is looked at, against an endless loop."""
_FAILED_BUILD = re.compile(r"Failed to (?:download and )?build `([A-Za-z0-9._-]+)==([^`]+)`")
_MINORS = tuple(range(14, 6, -1))


@dataclass(frozen=True, slots=True)
class Target:
    """What is resolved for, and where.

    Attributes:
        root: The project's folder.
        python: Minor version of Python.
        platform: Value of `uv pip compile --python-platform`; None for this machine.
        cache: Folder that keeps built wheels.
        preferred: Versions to prefer by canonical name; they never make a resolution impossible.
    """

    root: Path
    python: str
    platform: str | None
    cache: Path
    preferred: Mapping[str, str] = field(default_factory=dict)


def resolve(plan: Plan, wheels: Sequence[str], target: Target) -> str:
    """The lock of the plan's requirements: a pylock.toml in which every package is a wheel.

    Args:
        plan: The translated dependency list.
        wheels: Requirements that name wheels that were built already.
        target: What is resolved for.

    Raises:
        DependencyError: The requirements can't be resolved; it names file and line.
    """
    with tempfile.TemporaryDirectory(prefix="vertex-freeze-") as folder:
        return _Resolver(plan, wheels, target, Path(folder)).run()


class _Resolver:
    """One resolution, in rounds.

    uv may choose sdists, but can't build them: they get a Python without build tools. Each round therefore ends with a
    lock, or quickly with the name of a package that would have to be built. It is built by `local_wheels`, whose wheel
    the next round finds in a folder of wheels. If wheels of the same release exist for other platforms or Python
    versions, then its sdist contains code to compile, and the next round considers only its wheels. So it does when a
    second release of the package would have to be built, and others have wheels.
    """

    def __init__(self, plan: Plan, wheels: Sequence[str], target: Target, folder: Path) -> None:
        self._plan = plan
        self._wheels = wheels
        self._target = target
        self._folder = folder
        self._built: dict[str, list[Path]] = {}
        self._compiled: dict[str, Release] = {}
        self._wheels_only: set[str] = set()
        self._floors: dict[str, str] = {}
        self._output = ""

    def run(self) -> str:
        for _ in range(_ROUNDS):
            text = self._compile()
            lacking = _without_wheel(text) if text else self._failed_build()
            if not lacking:
                return self._finished(text)
            for package in lacking:
                self._provide(package)
        raise DependencyError(
            "too many packages have no wheel", where=self._plan.method, next_step="Pin their versions"
        )

    def _finished(self, text: str) -> str:
        versions = _versions(text)
        python = self._target.python
        notes = [
            f"{NOTE}{name} {versions[name]} is frozen: {it.version} has no wheel for Python {python} on linux/amd64"
            for name, it in self._compiled.items()
            if name in versions
        ]
        without_sdists = re.sub(r"^sdist = .*\n", "", text, flags=re.MULTILINE)
        return "\n".join([*notes, relocatable(without_login(without_sdists), self._target.root)])

    def _compile(self, *extra: str, python: str | None = None) -> str:
        """The lock that uv makes; empty if it fails, with its messages in `_output`."""
        target = self._target
        arguments = ["pip", "compile", "--format", "pylock.toml", "--no-header", "--no-annotate"]
        arguments += ["--python-version", python or target.python, "--python", str(_bare_python(target))]
        arguments += ["--no-build-isolation", *self._arguments(), *extra]
        finished = uv.run([*arguments, *self._inputs()], cwd=target.root)
        if finished.returncode != 0 and self._floors and not _FAILED_BUILD.search(finished.stderr):
            self._floors.clear()  # the list doesn't allow the newest
            finished = uv.run([*arguments, *self._inputs()], cwd=target.root)
        self._output = finished.stderr
        return (self._folder / "pylock.toml").read_text(encoding="utf-8") if finished.returncode == 0 else ""

    def _arguments(self) -> list[str]:
        arguments = [] if self._target.platform is None else ["--python-platform", self._target.platform]
        for name in (*self._compiled, *sorted(self._wheels_only)):
            arguments += ["--only-binary", name]
        return arguments

    def _inputs(self) -> list[str]:
        source, limits = self._folder / "requirements.in", self._folder / "constraints.txt"
        # Options in the file add to those of uv's settings; options on the command line would replace them.
        options = [
            *self._plan.options,
            *(f"--find-links {wheel.parent}" for wheels in self._built.values() for wheel in wheels),
        ]
        options += [f"--constraint {file}" for file in uv.constraints(self._target.root)]
        source.write_text("\n".join([*options, *self._plan.requirements, *self._wheels]) + "\n", encoding="utf-8")
        floors = [f"{name}>={version}" for name, version in self._floors.items()]
        limits.write_text("\n".join([*self._plan.constraints, *floors]) + "\n", encoding="utf-8")
        # uv prefers the versions in its output file: https://docs.astral.sh/uv/pip/compile/#upgrading-requirements
        output = self._folder / "pylock.toml"
        output.unlink(missing_ok=True)
        if self._target.preferred:
            output.write_text(_preferences(self._target.preferred), encoding="utf-8")
        return ["--constraint", str(limits), "--output-file", str(output), str(source)]

    def _failed_build(self) -> list[dict[str, Any]]:
        """The package that uv would have had to build.

        Raises:
            DependencyError: uv failed for another reason.
        """
        if found := _FAILED_BUILD.search(self._output):
            return [{"name": found[1], "version": found[2]}]
        error = self._explained()
        refused = next((it for name, it in self._compiled.items() if re.search(rf"\b{name}\b", error.what)), None)
        if not refused and "has no wheel" not in error.what:
            raise error
        raise self._for_another_python(error)

    def _explained(self) -> DependencyError:
        return explain(self._output, self._plan.lines, self._target.python, self._plan.options, self._plan.method)

    def _for_another_python(self, error: DependencyError) -> DependencyError:
        """The error with a Python version for which everything has wheels as its next step, if there is one."""
        current = int(self._target.python.partition(".")[2])
        for minor in sorted(set(_MINORS) - {current}, key=lambda minor: (minor > current, abs(minor - current))):
            if self._compile("--only-binary", ":all:", python=f"3.{minor}"):
                step = f'Set python = "3.{minor}" under [tool.vertex-training]: that version has wheels for everything'
                return error.replace(next_step=step)
        return error

    def _provide(self, package: dict[str, Any]) -> None:
        """Builds the package's sdist, or limits the next round to its wheels."""
        name = package["name"]
        if name in self._built and (newest := self._newest_with_wheel(name)):
            # uv goes back through its releases, and the old ones have only sdists: the newest are meant.
            del self._built[name]
            self._wheels_only.add(name)
            self._floors[name] = newest
            return
        release = release_of(package, self._plan.options, self._target.root, self._target.python)
        if release.is_compiled and name not in self._compiled:
            self._compiled[name] = release
            return
        if not release.url:
            raise self._explained()
        self._check_hash(release)
        self._built.setdefault(name, []).append(self._wheel(release))

    def _newest_with_wheel(self, name: str) -> str | None:
        """The newest release of the package that has a wheel for the target; None without one."""
        target = self._target
        arguments = ["pip", "compile", "--no-header", "--no-annotate", "--no-deps", "--only-binary", name]
        arguments += ["--python-version", target.python]
        arguments += [] if target.platform is None else ["--python-platform", target.platform]
        text = "\n".join([*self._plan.options, name]) + "\n"
        finished = uv.run([*arguments, "-"], cwd=target.root, text=text)
        found = re.search(r"==(\S+)", finished.stdout)
        return found[1] if found and finished.returncode == 0 else None

    def _check_hash(self, release: Release) -> None:
        allowed = self._plan.hashes.get(release.name)
        if allowed and release.sha256 not in allowed and not any(":" in item for item in allowed):
            raise DependencyError(
                f"the index's sdist of {release.name} {release.version} is not one of {self._plan.method}'s hashes",
                where=place_of(release.name, self._output, self._plan.lines) or self._plan.method,
                next_step="Generate the list again, or find out why the file changed",
            )

    def _wheel(self, release: Release) -> Path:
        """The wheel of the release's sdist, built unless the cache has it."""
        place = place_of(release.name, self._output, self._plan.lines) or self._plan.method
        build = Build(release.name, "", "", place, self._folder, sha256=release.sha256)
        if known := local_wheels.known_wheel(build, self._target.cache):
            return known
        logins = uv.logins_in([*self._plan.options, *self._plan.requirements], self._target.root)
        build = replace(build, folder=download(release, self._folder, self._target.root, logins))
        try:
            return local_wheels.wheel_of(build, self._target.cache)
        except local_wheels.NeedsCompiler as error:
            raise self._to_compile(release, error) from error
        except DependencyError as error:
            wanted = self._wanted_by(release.name)
            raise error.replace(what=f"{release.name} {release.version}{wanted}: {error.what}") from error

    def _to_compile(self, release: Release, error: DependencyError) -> DependencyError:
        wanted = self._wanted_by(release.name)
        older = self._compile("--only-binary", release.name)
        versions = (
            {package["name"]: package["version"] for package in tomllib.loads(older)["packages"]} if older else {}
        )
        version = versions.get(release.name)
        choice = f"Write {release.name}=={version}, which has a wheel, or install it" if version else "Install it"
        return DependencyError(
            f"{release.name} {release.version}{wanted} has no wheel, and its sdist contains code to compile",
            where=error.where,
            next_step=f"{choice} in the project's own Dockerfile",
        )

    def _wanted_by(self, name: str) -> str:
        """The package that needs another one, as part of a message; empty if the list names it itself."""
        if any(line.name == name for line in self._plan.lines):
            return ""
        if said := needed_by(name, self._output, self._plan.lines):
            return said + ","
        parents = self._parents(name)
        return f", which {' and '.join(parents)} needs," if parents else ""

    def _parents(self, name: str) -> list[str]:
        """The packages that need another one, from uv's annotations."""
        arguments = ["pip", "compile", "--no-header", "--annotation-style", "line", "--no-build-isolation"]
        arguments += ["--python-version", self._target.python, "--python", str(_bare_python(self._target))]
        inputs = self._inputs()
        inputs[3] = str(self._folder / "annotated.txt")
        finished = uv.run([*arguments, *self._arguments(), *inputs], cwd=self._target.root)
        if finished.returncode != 0:
            return []
        text = Path(inputs[3]).read_text(encoding="utf-8")
        found = re.search(rf"^{re.escape(name)}(?:==| @ ).*# via (.*)$", text, re.MULTILINE)
        return [parent.strip() for parent in found[1].split(",") if not parent.strip().startswith("-")] if found else []


def _bare_python(target: Target) -> Path:
    """A Python without packages, so that no sdist can be built in it; made once."""
    home = target.cache / "bare-python" / this_python()
    program = home / "bin" / "python"
    record = home.with_name(f"{home.name}.json")
    if not program.exists() or not is_unchanged(home, record):
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=home.parent) as folder:
            made = Path(folder, "environment")
            finished = uv.run(["venv", "--no-project", "--python", sys.executable, str(made)], cwd=target.root)
            if finished.returncode != 0:
                raise DependencyError(f"uv can't make an environment: {finished.stderr.strip()}", where=home)
            with contextlib.suppress(OSError):  # another run made it at the same time
                made.rename(home)
        record_tree(home, record)
    return program


def _preferences(preferred: Mapping[str, str]) -> str:
    """Versions in the form of a lock."""
    packages = (
        f'[[packages]]\nname = "{name}"\nversion = "{version}"\n'
        for name, installed in sorted(preferred.items())
        for version in dict.fromkeys((installed, installed.partition("+")[0]))
    )
    return 'lock-version = "1.0"\ncreated-by = "vertex-training"\n' + "".join(packages)


def _versions(text: str) -> dict[str, str]:
    return {package["name"]: package["version"] for package in tomllib.loads(text)["packages"]}


def _without_wheel(text: str) -> list[dict[str, Any]]:
    packages: list[dict[str, Any]] = tomllib.loads(text)["packages"]
    return [package for package in packages if not package.get("wheels") and not _is_wheel(package)]


def _is_wheel(package: dict[str, Any]) -> bool:
    archive = package.get("archive", {})
    return str(archive.get("url") or archive.get("path") or "").partition("#")[0].endswith(".whl")


def relocatable(text: str, root: Path) -> str:
    """Makes paths of wheels inside the project relative to it, so that the lock is the same in every folder."""

    def relative(match: re.Match[str]) -> str:
        path = unquote(match[1])
        if not path.startswith(f"{root}/"):
            return match[0]
        return f"path = {json.dumps(path[len(str(root)) + 1 :])}"

    return re.sub(r'(?:url = "file://|path = ")(/[^"]*)"', relative, text)
