"""Virtual environments that hold exactly a project's frozen dependencies, made once and kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

from ...core.errors import DependencyError, ProjectError, storage_errors
from ..dependencies import uv
from ..dependencies.formats import conda
from ..dependencies.freeze import TARGET, Lock, absolute, freeze
from ..dependencies.resolver_errors import explain
from ..settings.python_version import this_python
from ..settings.settings import Settings

_KEPT_SECONDS = 30 * 24 * 3600.0


def environment(root: Path, settings: Settings, *, cache: Path) -> Path:
    """The interpreter of an environment for this machine with the project's dependencies; makes it if needed.

    It is made aside and renamed, so that it is whole or absent, also when two runs make it at once.

    Raises:
        DependencyError: A requirement that can't be frozen or installed here, or a list of conda's.
        ProjectError: The wanted Python isn't on this machine.
        StorageError: The disk is full.
    """
    lock = freeze(root, settings, cache=cache, platform=_platform())
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
        if not interpreter.exists():  # a link to the base interpreter, which may have been removed
            shutil.rmtree(final, ignore_errors=True)
            _make(final, lock, root)
            forget_unused(home, seconds=_KEPT_SECONDS)
        os.utime(final)
    return interpreter


def _make(final: Path, lock: Lock, root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".making-", dir=final.parent) as folder:
        made = Path(folder, "environment")
        _venv(made, lock.python, root)
        if lock.text:
            # uv knows a lock by its name; relative wheels count from the project.
            Path(folder, "pylock.toml").write_text(absolute(lock.text, root), encoding="utf-8")
            arguments = ["pip", "sync", "--python", str(made / "bin" / "python"), f"{folder}/pylock.toml"]
            finished = uv.run(arguments, cwd=root)
            if finished.returncode != 0:
                raise _not_installed(finished.stderr, root)
        try:
            made.rename(final)
        except OSError:
            if not final.is_dir():  # else another run was first
                raise


def _not_installed(output: str, root: Path) -> DependencyError:
    error = explain(output, (), this_python())
    return error.replace(
        what=f"can't install the frozen dependencies here: {error.what}", where=error.where or str(root)
    )


def _venv(folder: Path, python: str, root: Path) -> None:
    wanted = sys.executable if python == this_python() else python
    finished = uv.run(["venv", "--relocatable", "--no-project", "--python", wanted, str(folder)], cwd=root)
    if finished.returncode != 0:
        raise ProjectError(
            f"Python {python} is not on this machine",
            where=root,
            next_step=f'Install it (uv python install {python}), or set python = "{this_python()}" under '
            "[tool.vertex-training]",
            detail=finished.stderr.strip(),
        )


def _platform() -> str | None:
    """The cloud's platform where this machine can run its wheels, so that both get the same lock."""
    same = sys.platform == "linux" and platform.machine() == "x86_64"
    libc, version = platform.libc_ver()
    new = libc == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= (2, 28)
    return TARGET if same and new else None


def _key(lock: Lock) -> str:
    base = f"{lock.digest} {lock.python} {sys.base_prefix if lock.python == this_python() else ''}"
    return hashlib.sha256(base.encode()).hexdigest()[:32]


def forget_unused(home: Path, *, seconds: float) -> None:
    """Removes folders that were not touched for so long: old ones, and those of runs that were killed."""
    for folder in home.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < time.time() - seconds:
                shutil.rmtree(folder, ignore_errors=True)
