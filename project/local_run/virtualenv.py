"""Virtual environments with exactly a project's frozen dependencies; each is made once and kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ...core.errors import DependencyError, ProjectError, storage_errors
from ...core.host.pythons import find_python
from ...core.integrity.tree_record import is_unchanged, record_compiled, record_tree
from ..dependencies import uv
from ..dependencies.formats import conda
from ..dependencies.formats.requirements_txt import Requirements
from ..dependencies.freeze import TARGET, Lock, absolute, freeze
from ..dependencies.resolver_errors import explain
from ..settings.python_version import this_python
from ..settings.settings import Settings

_KEPT_SECONDS = 30 * 24 * 3600.0


def environment(
    root: Path,
    settings: Settings,
    *,
    cache: Path,
    listed: Requirements | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Path:
    """The Python of an environment for this machine with the project's dependencies; creates it if needed.

    It is created under another name and renamed, so that it is complete even if two runs create it at once.

    Args:
        root: The project's folder.
        settings: The project's settings.
        cache: Folder that keeps environments.
        listed: The project's dependency list; None reads it.
        log: Called with a line before an environment is made, which may take minutes.

    Raises:
        DependencyError: A requirement can't be frozen or installed here, or the list is conda's.
        ProjectError: The project's Python version is not on this machine.
        StorageError: The disk is full.
    """
    python = _python(settings.python, root)
    lock = freeze(root, settings, cache=cache, listed=listed, platform=_platform())
    if lock.conda:
        name = conda.environment_name(root) or "ENVIRONMENT"
        raise DependencyError(
            f"{lock.method} needs conda: the script can't be run in a clean environment without it",
            where=root,
            next_step=f"Activate its environment first (conda activate {name}), or translate the list for pip: "
            "--translate",
        )
    home = cache / "environments"
    final = home / _key(lock)
    interpreter = final / "bin" / "python"
    with storage_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        record = _record(interpreter)
        # The interpreter is a link to the base interpreter, which may have been removed.
        if not interpreter.exists() or not is_unchanged(final, record):
            if record.exists() and final.exists():
                _forget_cached(lock, root)
            shutil.rmtree(final, ignore_errors=True)
            log("installing the frozen dependencies in a clean environment, once for this list")
            _make(final, lock, root, python, listed)
            record_tree(final, record)
            forget_unused(home, seconds=_KEPT_SECONDS)
        os.utime(final)
    return interpreter


def _forget_cached(lock: Lock, root: Path) -> None:
    """Makes uv forget the packages of a damaged environment: its files are links to those in uv's cache."""
    names = [name for name, _ in lock.packages]
    if names:
        uv.run(["cache", "clean", *names], cwd=root)


def was_used(interpreter: Path) -> None:
    """Records what Python compiled in an environment, so that the next use trusts it."""
    record_compiled(interpreter.parents[1], _record(interpreter))


def _record(interpreter: Path) -> Path:
    """The file beside an environment that says how its files looked."""
    final = interpreter.parents[1]
    return final.with_name(f"{final.name}.json")


def _make(final: Path, lock: Lock, root: Path, python: Path, listed: Requirements | None) -> None:
    with tempfile.TemporaryDirectory(prefix=".making-", dir=final.parent) as folder:
        made = Path(folder, "environment")
        _venv(made, python, root)
        if lock.text:
            # uv recognises a lock by its file name. Paths of wheels are relative to the project.
            Path(folder, "pylock.toml").write_text(absolute(lock.text, root), encoding="utf-8")
            arguments = ["pip", "sync", "--python", str(made / "bin" / "python"), f"{folder}/pylock.toml"]
            # The lock's URLs have no logins: uv takes those of the indexes on the same server.
            urls = " ".join(uv.index_logins(root, listed or Requirements()).urls())
            given = " ".join(filter(None, [urls, os.environ.get("UV_INDEX", "")]))
            finished = uv.run(arguments, cwd=root, variables={"UV_INDEX": given} if urls else None)
            if finished.returncode != 0:
                raise _not_installed(finished.stderr, root, lock)
        try:
            made.rename(final)
        except OSError:
            if not final.is_dir():  # else another run created it first
                raise


def _not_installed(output: str, root: Path, lock: Lock) -> DependencyError:
    error = explain(output, (), this_python())
    if error.transient and lock.known:
        error = error.replace(next_step="Check the network; if that server is gone, resolve anew: --refresh")
    return error.replace(
        what=f"can't install the frozen dependencies here: {error.what}", where=error.where or str(root)
    )


def _python(version: str, root: Path) -> Path:
    """The program of the project's Python; one that is not here comes through uv, from its mirror if one is set.

    Raises:
        ProjectError: It is not here, and uv can't bring it.
    """
    if version == this_python():
        return Path(sys.executable)
    if found := find_python(version):
        return found
    with tempfile.TemporaryDirectory(prefix="vertex-python-") as folder:
        # `uv python install --quiet` doesn't say why it fails; `uv venv` does, and obeys uv's setting python-downloads.
        finished = uv.run(["venv", "--no-project", "--python", version, f"{folder}/environment"], cwd=root)
    if finished.returncode == 0 and (found := find_python(version)):
        return found
    raise ProjectError(
        f"Python {version} is not on this machine, and uv can't bring it: {_why_not(finished.stderr)}",
        where=root,
        next_step=f"Install Python {version}, or name a mirror that has it in UV_PYTHON_INSTALL_MIRROR",
        detail=finished.stderr.strip(),
    )


def _why_not(output: str) -> str:
    """The reason in one clause: the last of uv's causes, and the host that it asked."""
    lines = [re.sub(r"^(error|cause|hint): ", "", line.strip()) for line in output.splitlines() if line.strip()]
    host = re.search(r"\w+://(?:[^@/\s`]*@)?([^/\s`]+)", output)
    reason = lines[-1].rstrip(".") if lines else "it gave no reason"
    return f"{host[1]}: {reason}" if host else reason


def _venv(folder: Path, python: Path, root: Path) -> None:
    finished = uv.run(["venv", "--relocatable", "--no-project", "--python", str(python), str(folder)], cwd=root)
    if finished.returncode != 0:
        raise ProjectError(
            f"{python} can't make an environment: {' '.join(finished.stderr.split())[:300]}",
            where=root,
            next_step="Repair that Python, or remove it",
        )


def _platform() -> str | None:
    """The cloud's platform if this machine can use the same wheels, so that both get the same lock; else None."""
    same = sys.platform == "linux" and platform.machine() == "x86_64"
    libc, version = platform.libc_ver()
    new = libc == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= (2, 28)
    return TARGET if same and new else None


def _key(lock: Lock) -> str:
    base = f"{lock.digest} {lock.python} {sys.base_prefix if lock.python == this_python() else ''}"
    return hashlib.sha256(base.encode()).hexdigest()[:32]


def forget_unused(home: Path, *, seconds: float) -> None:
    """Deletes the folders in `home` that were not changed for so many seconds."""
    for folder in home.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < time.time() - seconds:
                shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink()
