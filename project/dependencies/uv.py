"""Running uv so that it sees what pip sees: the same indexes, folders of wheels and certificates."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...core.errors import DependencyError, StorageError

_LIMIT = 3600.0
"""Seconds after which uv is taken for hung; its own requests end after UV_HTTP_TIMEOUT (30 s)."""

_FROM_PIP = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}
_SAME = {
    "UV_DEFAULT_INDEX": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "UV_INDEX": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "UV_FIND_LINKS": ("UV_FIND_LINKS",),
}


def run(
    arguments: Sequence[str], *, cwd: Path, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs uv to its end, whatever its exit code; uv dies with the caller's interruption.

    Args:
        arguments: uv's.
        cwd: Where it runs.
        variables: More environment variables.

    Raises:
        DependencyError: uv hung (transient).
        StorageError: Its disk is full.
    """
    from uv import find_uv_bin

    lists = arguments[:2] == ["pip", "freeze"]  # the one command that asks no index, and takes no option for one
    chosen = [] if lists else options(os.environ)
    command = [find_uv_bin(), *arguments, *chosen, "--quiet", "--color", "never", "--no-progress"]
    try:
        finished = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **environment(os.environ), **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DependencyError(f"uv did not end within {_LIMIT:g} s", where=cwd, transient=True) from error
    if finished.returncode != 0 and "No space left on device" in finished.stderr:
        raise StorageError(
            "can't write: no space left on device",
            where="uv's cache",
            next_step="Free space there, or set UV_CACHE_DIR to another disk, and run again",
            detail=finished.stderr.strip(),
        )
    return finished


def environment(variables: Mapping[str, str], pip_files: Sequence[Path] | None = None) -> dict[str, str]:
    """What uv must be told in its environment to see what pip sees; what uv's own variables say stays.

    pip's settings are in `PIP_*` and its configuration files:
    https://pip.pypa.io/en/stable/topics/configuration/.

    Args:
        variables: The environment, as `os.environ`.
        pip_files: pip's configuration files, weakest first; None for the usual places.
    """
    pip = _pip_settings(variables, _pip_files(variables) if pip_files is None else pip_files)
    told: dict[str, str] = {}
    for option, variable in _FROM_PIP.items():
        values = [value for value in shlex.split(pip.get(option, "")) if option != "find-links" or _usable(value)]
        if values and not any(variables.get(name) for name in _SAME[variable]):
            # Only UV_FIND_LINKS separates by commas: https://docs.astral.sh/uv/reference/environment/
            told[variable] = ("," if variable == "UV_FIND_LINKS" else " ").join(values)
    if pip.get("trusted-host"):
        told["UV_INSECURE_HOST"] = variables.get("UV_INSECURE_HOST") or pip["trusted-host"]
    if pip.get("cert") and not variables.get("SSL_CERT_FILE"):
        told["SSL_CERT_FILE"] = pip["cert"]
    if not variables.get("UV_INDEX_STRATEGY"):
        # pip takes the best version of all indexes. uv's default stops at the first that has the name, which
        # hides PyPI's versions behind the few that PyTorch's index mirrors.
        told["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return told


def options(variables: Mapping[str, str], pip_files: Sequence[Path] | None = None) -> list[str]:
    """What uv can be told by an option alone; arguments as for `environment`."""
    pip = _pip_settings(variables, _pip_files(variables) if pip_files is None else pip_files)
    return ["--no-index"] if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"} else []


def _usable(link: str) -> bool:
    """Pip passes over a folder of wheels that isn't there; uv stops."""
    return bool(re.match(r"(?!file:)\w+://", link)) or Path(link.removeprefix("file://")).expanduser().exists()


def _pip_settings(variables: Mapping[str, str], files: Sequence[Path]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue  # pip itself will complain about it
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    for name, value in variables.items():
        if name.startswith("PIP_") and value:
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


def _pip_files(variables: Mapping[str, str]) -> list[Path]:
    if own := variables.get("PIP_CONFIG_FILE"):
        return [] if own == os.devnull else [Path(own)]
    home = Path.home()
    config = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    return [
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        home / "Library" / "Application Support" / "pip" / "pip.conf",
        config / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
