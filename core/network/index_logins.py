"""Logins of private package indexes: found where pip and uv find them, used for downloads, and kept nowhere.

A URL of an index may hold a login, with `${VAR}` for its parts. Locks, results and logs have URLs without logins; this
module finds the login again when a file is downloaded from the same server.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from .login_sources import (
    URLS,
    Login,
    ask_keyring,
    has_keyring,
    indexes_of_variable,
    netrc_login,
    read_uv_settings,
    stored_by_uv,
    uv_settings_files,
)

_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_USERINFO = re.compile(r"(https?://)[^/?#\s\"']*@")
"""Not that of git+ssh://git@host, which is no login. A password may hold an @ of its own."""
_INDEX_VARIABLES = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"),
)
REFUSALS = frozenset((401, 403, 404))
"""Statuses after which another login may be the right one: indexes that hide what one may not read answer 404."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


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
        self._asks_keyring = "subprocess" in (env.get("UV_KEYRING_PROVIDER"), env.get("PIP_KEYRING_PROVIDER"))
        named = [env.get(name, "") for name in _INDEX_VARIABLES]
        for text in (*texts, *named):
            for url in URLS.findall(expand(text, env)):
                self._add(url)
        for text in named:
            for index in indexes_of_variable(text, env):
                self._add(*index)
        for path in (*uv_settings_files(env), *settings):
            found = read_uv_settings(path, env)
            self._asks_keyring = self._asks_keyring or found.uses_keyring
            for index in found.indexes:
                self._add(*index)

    def __repr__(self) -> str:
        return f"IndexLogins({len(self._found)})"

    def of(self, url: str) -> Login | None:
        """The likeliest login for a file; None without one."""
        return next(self.each(url), None)

    def each(self, url: str) -> Iterator[Login]:
        """The logins that may be for a file, the likeliest first.

        That of its own URL; else of the indexes on its server, the nearest first, as two indexes there may have
        different ones; then those of .netrc, of uv's store and of a keyring. A user name alone may be a token: it comes
        after what those have for it.
        """
        parts = urlsplit(url)
        if parts.username or parts.password:
            yield unquote(parts.username or ""), unquote(parts.password or "")
            return
        known: set[Login] = set()
        for login in self._on_server(url):
            if login not in known:
                known.add(login)
                yield login

    def _on_server(self, url: str) -> Iterator[Login]:
        for index in _nearest([*self._found, *self._users], url):
            if index in self._found:
                yield self._found[index]
            else:
                user = self._users[index]
                yield from self._kept(url, user)
                yield user, ""
        yield from self._kept(url, "oauth2accesstoken")  # the user of Google's registries

    def _kept(self, url: str, user: str) -> Iterator[Login]:
        """The logins that are kept outside of indexes' URLs."""
        parts = urlsplit(url)
        for place in (url, parts.netloc) if self._asks_keyring and has_keyring() else ():
            if password := ask_keyring(place, user):
                yield user, password
        if found := netrc_login(parts.hostname or "", self._env):
            yield found
        stored = dict(stored_by_uv(self._env))
        yield from (stored[service] for service in _nearest(stored, url))

    def urls(self) -> list[str]:
        """The indexes that have a login, with it: for a program that gets them in its environment."""
        found = {**{url: self.of(url) for url in self._users}, **self._found}
        return [_with_login(url, *login) for url, login in found.items() if login]

    def _add(self, url: str, user: str = "", password: str = "") -> None:
        parts = urlsplit(url)
        user = user or unquote(parts.username or "")
        if password or parts.password is not None:
            self._found[without_login(url)] = user, password or unquote(parts.password or "")
        elif user:
            self._users[without_login(url)] = user


def without_login(text: str) -> str:
    """A text without the logins of the URLs in it."""
    return _USERINFO.sub(r"\1", text)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`${VAR}` replaced, as pip does it in requirements files; unknown variables stay."""
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)


def _nearest(urls: Iterable[str], file: str) -> list[str]:
    """The URLs on a file's server, those that share most of its path first."""
    server = _server(file)
    return sorted((url for url in urls if _server(url) == server), key=lambda url: -_common_parts(url, file))


def _common_parts(one: str, other: str) -> int:
    """How many parts of the path two URLs share."""
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    return next((count for count, (a, b) in enumerate(pairs) if a != b), len(one))


def _server(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _with_login(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"))
