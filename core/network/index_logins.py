"""Logins of private package indexes: found where pip and uv find them, used for downloads, and kept nowhere.

A URL of an index may hold a login, with `${VAR}` for its parts. Locks, results and logs have URLs without logins; this
module finds the login again when a file is downloaded from the same server.
"""

from __future__ import annotations

import netrc
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

Login = tuple[str, str]
"""A user name and a password."""

_URLS = re.compile(r"https?://[^\s,;\"'<>]+")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_USERINFO = re.compile(r"(https?://)[^/@\s\"']*@")
"""Not that of git+ssh://git@host, which is no login."""
_INDEX_VARIABLES = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"),
)
_KEYRING_SECONDS = 60


class IndexLogins:
    """The logins of the indexes that a project uses; its text form shows none.

    Args:
        texts: Texts with URLs of indexes, such as options of a requirements file; `${VAR}` is replaced.
        variables: The environment.
        settings: uv's settings files, whose indexes may have their logins in variables.
    """

    def __init__(
        self, texts: Iterable[str] = (), variables: Mapping[str, str] | None = None, settings: Iterable[Path] = ()
    ) -> None:
        env = os.environ if variables is None else variables
        self._env = env
        self._found: dict[str, Login] = {}
        self._users: dict[str, str] = {}
        named = [env.get(name, "") for name in _INDEX_VARIABLES]
        for text in (*texts, *named):
            for url in _URLS.findall(expand(text, env)):
                self._add(url)
        for path in (*_user_settings(env), *settings):
            for url, login in _uv_indexes(path, env):
                self._add(url, login)

    def __repr__(self) -> str:
        return f"IndexLogins({len(self._found)})"

    def of(self, url: str) -> Login | None:
        """The login for a file: of its own URL, of an index on its server, of .netrc, or of a keyring; else None."""
        parts = urlsplit(url)
        if parts.username:
            return unquote(parts.username), unquote(parts.password or "")
        server = f"{parts.scheme}://{parts.netloc}"
        on_server = [known for known in self._found if _server(known) == server]
        if on_server:
            return self._found[max(on_server, key=lambda known: _common_parts(known, url))]
        return _netrc_login(parts.hostname or "") or self._from_keyring(url, server)

    def urls(self) -> list[str]:
        """The indexes that have a login, with it: for a program that gets them in its environment."""
        return [_with_login(url, *login) for url, login in self._found.items()]

    def _add(self, url: str, login: Login | None = None) -> None:
        parts = urlsplit(url)
        plain = without_login(url)
        if login is None and parts.username and parts.password:
            login = unquote(parts.username), unquote(parts.password)
        if login is not None:
            self._found[plain] = login
        elif parts.username:
            self._users[_server(plain)] = unquote(parts.username)

    def _from_keyring(self, url: str, server: str) -> Login | None:
        """The login that the `keyring` program has, where pip or uv is told to ask it."""
        providers = {self._env.get("UV_KEYRING_PROVIDER", ""), self._env.get("PIP_KEYRING_PROVIDER", "")}
        if "subprocess" not in providers or shutil.which("keyring") is None:
            return None
        user = self._users.get(server) or "oauth2accesstoken"
        for place in (url, urlsplit(server).netloc):
            if password := _keyring(place, user):
                return user, password
        return None


def without_login(text: str) -> str:
    """A text without the logins of the URLs in it."""
    return _USERINFO.sub(r"\1", text)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`${VAR}` replaced, as pip does it in requirements files; unknown variables stay."""
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)


def _uv_indexes(path: Path, env: Mapping[str, str]) -> Iterator[tuple[str, Login | None]]:
    """The indexes of a settings file of uv, https://docs.astral.sh/uv/concepts/indexes/#authentication."""
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return
    tool = document.get("tool")
    settings = tool.get("uv") if path.name == "pyproject.toml" and isinstance(tool, dict) else document
    if not isinstance(settings, dict):
        return
    pip = settings.get("pip")
    for table in (settings, pip if isinstance(pip, dict) else {}):
        for name in ("index-url", "extra-index-url", "find-links"):
            for url in _URLS.findall(str(table.get(name, ""))):
                yield url, None
    indexes = settings.get("index")
    for index in indexes if isinstance(indexes, list) else ():
        if isinstance(index, dict) and isinstance(index.get("url"), str):
            variable = re.sub(r"[^A-Z0-9]", "_", str(index.get("name", "")).upper())
            user, password = (env.get(f"UV_INDEX_{variable}_{part}", "") for part in ("USERNAME", "PASSWORD"))
            yield index["url"], (user, password) if user or password else None


def _user_settings(env: Mapping[str, str]) -> list[Path]:
    own = env.get("UV_CONFIG_FILE")
    config = Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [Path(own)] if own else [Path("/etc/uv/uv.toml"), config / "uv" / "uv.toml"]


@cache
def _keyring(place: str, user: str) -> str:
    try:
        done = subprocess.run(
            ["keyring", "get", place, user], capture_output=True, text=True, timeout=_KEYRING_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _netrc_login(host: str) -> Login | None:
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, ValueError, netrc.NetrcParseError):
        return None
    return (found[0] or "", found[2] or "") if found else None


def _common_parts(one: str, other: str) -> int:
    """How many parts of the path two URLs share."""
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    return next((count for count, (a, b) in enumerate(pairs) if a != b), len(one))


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _with_login(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"))
