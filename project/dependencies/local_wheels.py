"""Builds wheels of packages that have none: folders on this machine, repositories, and source distributions."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ...core.atomic_files import write_atomic
from ...core.errors import DependencyError
from ...core.integrity.sealed_json import read_sealed, write_sealed
from ...core.security import safe_git
from . import uv
from .local_sources import Build
from .sdists import Release, download

_LEFT_OUT = shutil.ignore_patterns(
    ".venv", "venv", "__pycache__", "*.egg-info", "build", "dist", ".tox", "node_modules"
)
_EPOCH = "315532800"
"""1980-01-01, the first date in a zip file. With a fixed date the same source always gives the same wheel."""
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_COMMIT_FILE = "commit"
_RECORD_FILE = "wheel.json"
_NETWORK = re.compile(r"resolve host|timed? ?out|connect to|[Cc]onnection|early EOF|hung up|unexpected disconnect")
_EXCEPTION = re.compile(r"(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit): \S")
_GIT_SECONDS = 1800.0
_BROKEN_SDIST = "Choose a version that has a wheel, or install it in the project's own Dockerfile"


class NeedsCompiler(DependencyError):
    """A source distribution's wheel would contain compiled code, which runs on this machine only."""


def signature(build: Build) -> str:
    """A hash of the source: size and time of a folder's files, URL and ref of a repository, or an sdist's hash."""
    return hashlib.sha256(json.dumps(_facts(build)).encode()).hexdigest()[:32]


def _facts(build: Build) -> list[object]:
    if build.sha256:
        return ["sdist", build.sha256]
    if build.archive:
        return ["archive", build.url, build.subdirectory, build.url_sha256]
    if build.folder is None:
        return [build.url, build.ref, build.subdirectory]
    if build.folder.is_file():
        return [str(build.folder), *_stat(build.folder)]
    files: list[object] = [str(build.folder)]
    for parent, folders, names in os.walk(build.folder):
        left_out = _LEFT_OUT(parent, [*folders, *names]) | {".git"}
        folders[:] = sorted(set(folders) - left_out)
        files += [[str(path), *_stat(path)] for name in sorted(set(names) - left_out) if (path := Path(parent, name))]
    return files


def _stat(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:  # a broken link
        return [0, 0]
    return [status.st_size, status.st_mtime_ns]


def wheel_of(build: Build, cache: Path, *, refresh: bool = False) -> Path:
    """The wheel of a package; built if the cache doesn't have it.

    Args:
        build: What to build.
        cache: Folder that keeps wheels.
        refresh: Whether to fetch the current commit of a repository's branch or tag, or an archive, again.

    Raises:
        DependencyError: The source can't be fetched or built, or the wheel doesn't run on linux/amd64; transient if
            the repository could not be reached.
    """
    home = cache / "built" / signature(build)
    moves = build.folder is None and not _COMMIT.match(build.ref)
    if not (refresh and moves) and (known := _kept(home)):
        return known
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=home.parent) as folder:
        source = Path(folder, "source")
        _fetch(build, source)
        wheel = _built(build, source / build.subdirectory if source.is_dir() else source, Path(folder, "out"))
        for old in home.glob("*.whl"):
            old.unlink()
        if build.folder is None and not build.archive:
            write_atomic(home / _COMMIT_FILE, _git(build, source, "rev-parse", "HEAD").strip())
        kept = wheel.replace(home / wheel.name)
        write_sealed(home / _RECORD_FILE, {"name": kept.name, "sha256": _sha256(kept)})
        return kept


def _kept(home: Path) -> Path | None:
    """The wheel in a folder, if it is as it was built."""
    wheel, record = next(home.glob("*.whl"), None), read_sealed(home / _RECORD_FILE)
    if wheel is None or record is None or record != {"name": wheel.name, "sha256": _sha256(wheel)}:
        return None
    return wheel


def _sha256(wheel: Path) -> str:
    with wheel.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_wheel(build: Build, cache: Path) -> Path | None:
    """The wheel that was built from the same source before; None if there is none."""
    return _kept(cache / "built" / signature(build))


def commit_of(build: Build, cache: Path) -> str | None:
    """The commit that a repository's wheel was built from; None if it isn't known."""
    file = cache / "built" / signature(build) / _COMMIT_FILE
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None


def _fetch(build: Build, source: Path) -> None:
    """Copies the source, because a build writes into its folder, which is the user's."""
    if build.archive:
        _unpack(build, source)
    elif build.folder is None:
        _clone(build, source)
    elif build.folder.is_dir():
        shutil.copytree(build.folder, source, ignore=_LEFT_OUT, symlinks=True)
    else:
        source.parent.joinpath(build.folder.name).symlink_to(build.folder)


def _unpack(build: Build, source: Path) -> None:
    """Downloads an archive and unpacks it; `source` becomes the folder around everything in it, if there is one."""
    try:
        file = download(Release("", "", build.url, build.url_sha256), source.parent, source.parent)
    except DependencyError as error:
        raise error.replace(where=build.place) from error
    unpacked = source.parent / "unpacked"
    try:
        if file.suffix == ".zip":
            shutil.unpack_archive(file, unpacked)
        else:
            shutil.unpack_archive(file, unpacked, filter="data")
    except (OSError, shutil.ReadError, tarfile.TarError, ValueError) as error:
        raise DependencyError(
            f"{_shown(build.url)} is no archive that can be unpacked: {error}",
            where=build.place,
            next_step="Open that address in a browser, and correct it",
        ) from error
    inside = list(unpacked.iterdir())
    (inside[0] if len(inside) == 1 and inside[0].is_dir() else unpacked).rename(source)


def _clone(build: Build, folder: Path) -> None:
    """Fetches one commit; or everything, if the server doesn't offer single commits."""
    folder.mkdir()
    ref = build.ref or "HEAD"
    _git(build, folder, "init", "--quiet")
    try:
        _git(build, folder, "fetch", "--quiet", "--depth", "1", "--", build.url, ref)
        wanted = "FETCH_HEAD"
    except DependencyError as error:
        if error.transient:
            raise
        _git(build, folder, "fetch", "--quiet", "--tags", "--", build.url, "+refs/*:refs/remotes/from/*")
        wanted = build.ref or "FETCH_HEAD"
    _git(build, folder, "checkout", "--quiet", wanted)
    _git(build, folder, "submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")


def _git(build: Build, folder: Path, *arguments: str) -> str:
    try:
        # A token in the URL goes by git's environment: other users of this machine see command lines.
        address, token = safe_git.without_user_info(build.url)
        words = [address if word == build.url else word for word in arguments]
        finished = safe_git.fetch(folder, *words, address=address, token=token, timeout=_GIT_SECONDS)
    except FileNotFoundError as error:
        raise DependencyError("git is not installed here", where=build.place, next_step="Install git") from error
    except subprocess.TimeoutExpired as error:
        raise DependencyError(
            f"git did not end within {_GIT_SECONDS:g} s", where=build.place, transient=True
        ) from error
    if finished.returncode != 0:
        message = safe_git.last_line(finished, token)
        at = f" at {build.ref}" if build.ref else ""
        raise DependencyError(
            f"{_shown(build.url)} can't be fetched{at}: {message}",
            where=build.place,
            next_step="Check the URL, the commit and git's credentials",
            transient=bool(_NETWORK.search(finished.stderr)),
        )
    return finished.stdout


def _built(build: Build, source: Path, out: Path) -> Path:
    if not source.exists() and build.folder is not None:
        source = source.parent / build.folder.name
    finished = uv.run(
        ["build", "--wheel", "--out-dir", str(out), str(source)],
        cwd=source if source.is_dir() else source.parent,
        variables={"SOURCE_DATE_EPOCH": _EPOCH},
    )
    wheel = next(out.glob("*.whl"), None) if out.is_dir() else None
    shown = build.name or (build.folder.name if build.folder else _shown(build.url))
    if finished.returncode != 0 or wheel is None:
        message = _cause(finished.stderr)
        raise DependencyError(
            f"{shown} can't be built as a wheel: {message}",
            where=build.place,
            next_step=_BROKEN_SDIST
            if build.sha256
            else f"Run uv build in {build.folder or 'a clone of it'} to see the cause, or name a released version",
            detail=finished.stderr.strip(),
        )
    return _checked(wheel, build, shown)


def _cause(output: str) -> str:
    """The line of a failed build's output that says why: the last exception, else the last line that is no hint."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.strip().startswith("hint:")]
    exceptions = [line for line in lines if _EXCEPTION.match(line)]
    return (exceptions or lines or ["there is no wheel"])[-1]


def _checked(wheel: Path, build: Build, shown: str) -> Path:
    """The wheel, if it is of the right package and runs on linux/amd64."""
    try:
        name, _, _, tags = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as error:
        raise DependencyError(
            f"{shown} builds {wheel.name}, which is not the name of a wheel", where=build.place
        ) from error
    if not any(tag.platform == "any" for tag in tags):
        if build.sha256:
            raise NeedsCompiler(f"{shown} has no wheel, and its source contains code to compile", where=build.place)
        raise DependencyError(
            f"{shown} builds {wheel.name}, which contains code for this machine only",
            where=build.place,
            next_step="Install it in the project's own Dockerfile, or name a released version",
        )
    if build.name and canonicalize_name(name) != build.name:
        raise DependencyError(
            f"{shown} builds a package called {name}", where=build.place, next_step=f"Name it {name} in that line"
        )
    return wheel


def _shown(url: str) -> str:
    """The URL without a password."""
    return re.sub(r"//[^@/]*@", "//", url)
