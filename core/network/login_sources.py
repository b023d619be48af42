"""Where logins of package indexes are kept: uv's settings and its store, `.netrc`, the `keyring` program."""

from __future__ import annotations

import netrc
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ..security.parsed_text import parse_toml

Login = tuple[str, str]
"""A user name and a password."""

URLS = re.compile(r"https?://[^\s,;\"'<>]+")
_NAMED = re.compile(r"([A-Za-z0-9_.-]+)=(https?://\S+)")
_KEYRING_SECONDS = 60


class NamedIndex(NamedTuple):
    """An index of uv's settings: its URL, and the login that variables with its name give, in parts ("" for none)."""

    url: str
    user: str = ""
    password: str = ""


class UvSettings(NamedTuple):
    """What uv's settings files say: their indexes, and whether uv may ask the `keyring` program."""

    indexes: Sequence[NamedIndex]
    uses_keyring: bool


def read_uv_settings(path: Path, env: Mapping[str, str]) -> UvSettings:
    """A settings file of uv, https://docs.astral.sh/uv/concepts/indexes/#authentication; empty if it can't be read."""
    settings = _read_toml(path)
    if path.name == "pyproject.toml":
        settings = _table(_table(settings, "tool"), "uv")
    tables = [settings, _table(settings, "pip")]
    found = [
        NamedIndex(url)
        for table in tables
        for name in ("index-url", "extra-index-url", "find-links")
        for url in URLS.findall(str(table.get(name, "")))
    ]
    found += [
        _named(str(index.get("name", "")), index["url"], env)
        for index in _tables(settings, "index")
        if isinstance(index.get("url"), str)
    ]
    return UvSettings(found, any(table.get("keyring-provider") == "subprocess" for table in tables))


def indexes_of_variable(text: str, env: Mapping[str, str]) -> Iterator[NamedIndex]:
    """The indexes of a variable that have a name there, as `UV_INDEX="corp=https://index.example/simple"`."""
    for name, url in _NAMED.findall(text):
        yield _named(name, url, env)


def _named(name: str, url: str, env: Mapping[str, str]) -> NamedIndex:
    variable = re.sub(r"[^A-Z0-9]", "_", name.upper())
    user, password = (env.get(f"UV_INDEX_{variable}_{part}", "") if name else "" for part in ("USERNAME", "PASSWORD"))
    return NamedIndex(url, user, password)


def uv_settings_files(env: Mapping[str, str]) -> list[Path]:
    """The settings files of uv outside of a project: the machine's, and the user's."""
    if own := env.get("UV_CONFIG_FILE"):
        return [Path(own)]
    machine = (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    config = Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [Path(folder, "uv", "uv.toml") for folder in ("/etc", *machine, config) if folder]


def stored_by_uv(env: Mapping[str, str]) -> list[tuple[str, Login]]:
    """The logins that `uv auth login` stored in its file: each with the beginning of the URLs that it is for."""
    data = Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    folder = Path(env.get("UV_CREDENTIALS_DIR") or data / "uv" / "credentials")
    return [
        (str(entry["service"]), (str(entry.get("username") or ""), str(entry["password"])))
        for entry in _tables(_read_toml(folder / "credentials.toml"), "credential")
        if entry.get("service") and entry.get("password")
    ]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}


def _table(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, dict) else {}


def _tables(settings: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = settings.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def netrc_login(host: str, env: Mapping[str, str]) -> Login | None:
    """The login for a host in `.netrc`, else its `default`; None for none."""
    own = env.get("NETRC")
    # By their paths: without one, Python refuses a file that others may read, which pip, uv and curl take.
    for path in [Path(own)] if own else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            found = netrc.netrc(path).authenticators(host)
        except (OSError, ValueError, netrc.NetrcParseError):
            continue
        if found:
            return found[0] or "", found[2] or ""
    return None


def has_keyring() -> bool:
    """Whether the `keyring` program is on PATH."""
    return shutil.which("keyring") is not None


@cache
def ask_keyring(place: str, user: str) -> str:
    """The password that the `keyring` program has for a URL or a host; empty for none."""
    try:
        done = subprocess.run(
            ["keyring", "get", place, user],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_KEYRING_SECONDS,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
