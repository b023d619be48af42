"""Runs uv with the indexes, folders of wheels and certificates of pip's configuration.

The only module that starts uv.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from ...core.errors import DependencyError, StorageError
from ...core.network.index_logins import IndexLogins, without_login
from .formats.requirements_txt import Requirements

_LIMIT = 3600.0
"""Time limit in seconds for uv; its own requests end after UV_HTTP_TIMEOUT (30 s)."""

_FROM_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
}
_SAME = {
    "UV_DEFAULT_INDEX": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "UV_INDEX": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "UV_FIND_LINKS": ("UV_FIND_LINKS",),
    "UV_CONSTRAINT": ("UV_CONSTRAINT",),
}
_NOT_WITH_A_LOCK = ("UV_CONSTRAINT", "UV_OVERRIDE")
"""Variables with which uv refuses to install a lock; they were considered when it was made."""


def run(
    arguments: Sequence[str], *, cwd: Path, variables: Mapping[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs uv until it ends, whatever its exit code; an interruption of the caller ends uv too.

    Args:
        arguments: Arguments of uv.
        cwd: Working directory.
        variables: Additional environment variables.
        text: Standard input.

    Raises:
        DependencyError: uv exceeded its time limit (transient).
        StorageError: The disk of uv's cache is full.
    """
    from uv import find_uv_bin

    # The commands that use no index and have no option for one.
    lists = list(arguments[:2]) in (["pip", "freeze"], ["cache", "clean"])
    chosen = [] if lists else options(os.environ)
    settings = {**os.environ, **environment(os.environ), **(variables or {})}
    if list(arguments[:2]) in (["pip", "sync"], ["pip", "install"]):
        settings = {name: value for name, value in settings.items() if name not in _NOT_WITH_A_LOCK}
    command = [find_uv_bin(), *arguments, *chosen, "--quiet", "--color", "never", "--no-progress"]
    try:
        finished = subprocess.run(
            command,
            cwd=cwd,
            env=settings,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
            check=False,
        )
        finished.stdout, finished.stderr = (without_login(text) for text in (finished.stdout, finished.stderr))
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
    """Environment variables that give uv the configuration of pip; uv's own variables take precedence.

    pip is configured by `PIP_*` variables and files:
    https://pip.pypa.io/en/stable/topics/configuration/.

    Args:
        variables: The environment, such as `os.environ`.
        pip_files: pip's configuration files, later ones overriding earlier ones; None for the usual files.
    """
    pip = _pip_settings(variables, _pip_files(variables) if pip_files is None else pip_files)
    result: dict[str, str] = {}
    for option, variable in _FROM_PIP.items():
        values = [value for value in pip.get(option, "").split() if option != "find-links" or _usable(value)]
        if values and not any(variables.get(name) for name in _SAME[variable]):
            # Only UV_FIND_LINKS is separated by commas: https://docs.astral.sh/uv/reference/environment/
            result[variable] = ("," if variable == "UV_FIND_LINKS" else " ").join(values)
    if pip.get("trusted-host"):
        result["UV_INSECURE_HOST"] = variables.get("UV_INSECURE_HOST") or " ".join(pip["trusted-host"].split())
    if pip.get("cert") and not variables.get("SSL_CERT_FILE"):
        result["SSL_CERT_FILE"] = pip["cert"]
    if pip.get("keyring-provider") in {"subprocess", "import"} and not variables.get("UV_KEYRING_PROVIDER"):
        result["UV_KEYRING_PROVIDER"] = "subprocess"  # the program of the same package
    if not variables.get("UV_INDEX_STRATEGY"):
        # pip takes the best version of all indexes. By default uv stops at the first index that has the package,
        # which hides PyPI's versions behind the few in PyTorch's index.
        result["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return result


def index_logins(root: Path, listed: Requirements) -> IndexLogins:
    """The logins of the indexes that a project uses: of its list, of pip's and uv's settings, and of the environment.

    Args:
        root: The project's folder.
        listed: The project's dependency list.
    """
    return logins_in([*listed.options, *(line.text for line in listed.lines)], root)


def logins_in(texts: Iterable[str], root: Path) -> IndexLogins:
    """As `index_logins`, of lines of a list."""
    pip = environment(os.environ)
    # uv looks in the folders above, too: a project may be part of a workspace.
    folders = [*reversed(root.absolute().parents), root]
    settings = [folder / name for folder in folders for name in ("pyproject.toml", "uv.toml")]
    return IndexLogins([*texts, *pip.values()], {**os.environ, **pip}, settings)


def options(variables: Mapping[str, str], pip_files: Sequence[Path] | None = None) -> list[str]:
    """Options for the part of pip's configuration that no variable of uv covers; arguments as for `environment`."""
    pip = _pip_settings(variables, _pip_files(variables) if pip_files is None else pip_files)
    return ["--no-index"] if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"} else []


def constraints(root: Path) -> list[Path]:
    """The constraint files of pip's and uv's settings; relative ones start from `root`."""
    names = os.environ.get("UV_CONSTRAINT") or environment(os.environ).get("UV_CONSTRAINT", "")
    return [root / name for name in names.split()]


def _usable(link: str) -> bool:
    """Whether uv accepts a folder of wheels: it fails on a missing one, which pip ignores."""
    return bool(re.match(r"(?!file:)\w+://", link)) or Path(link.removeprefix("file://")).expanduser().exists()


def _pip_settings(variables: Mapping[str, str], files: Sequence[Path]) -> dict[str, str]:
    settings: dict[str, str] = {}
    parsed = [_parsed(file, version) for file in files if (version := _version(file))]
    for section in ("global", "install"):  # what is for `pip install` counts more than what is for all, in any file
        for parser in parsed:
            if parser.has_section(section):
                settings.update({_option(key): value for key, value in parser.items(section)})
    for name, value in variables.items():
        if name.startswith("PIP_") and value:
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


def _option(key: str) -> str:
    return key.replace("_", "-").removeprefix("--")


def _version(file: Path) -> tuple[int, int] | None:
    """What differs when a file has changed; None if there is no file that can be read."""
    with contextlib.suppress(OSError):
        found = file.stat()
        return found.st_mtime_ns, found.st_size
    return None


@lru_cache(maxsize=16)
def _parsed(file: Path, version: tuple[int, int]) -> configparser.RawConfigParser:  # noqa: ARG001 - part of the key
    """A configuration file, which each build asks for four times."""
    parser = configparser.RawConfigParser()
    with contextlib.suppress(configparser.Error, UnicodeDecodeError, OSError):  # pip reports it
        parser.read(file, encoding="utf-8-sig")
    return parser


def _pip_files(variables: Mapping[str, str]) -> list[Path]:
    """The files in pip's order: the machine's, the user's, those of the environment, and that of PIP_CONFIG_FILE.

    https://github.com/pypa/pip/blob/main/src/pip/_internal/configuration.py (iter_config_files)
    """
    own = variables.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return []
    folders = (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    machine = [*(Path(folder, "pip", "pip.conf") for folder in folders), Path("/etc/pip.conf")]
    prefixes = [sys.prefix, variables.get("CONDA_PREFIX"), variables.get("VIRTUAL_ENV")]
    environments = [Path(prefix, "pip.conf") for prefix in dict.fromkeys(prefixes) if prefix]
    if own and Path(own).exists():
        return [*machine, *environments, Path(own)]  # in place of the user's
    home = Path.home()
    config = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    user = [
        home / ".pip" / "pip.conf",
        home / "Library" / "Application Support" / "pip" / "pip.conf",
        config / "pip" / "pip.conf",
    ]
    return [*machine, *user, *environments]
